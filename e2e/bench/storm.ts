/**
 * `bench`: 64 duplicates of one slow request at once, and their cost for all requests. A report; no
 * check depends on it.
 */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { startPostgres } from "@oncekey/test-support/postgres/postgres";
import { superviseScript } from "@oncekey/test-support/processes/supervised";
import type { StormReport } from "./storm-server.ts";

const DUPLICATES = 64;
const BYSTANDERS = 15;
const BYSTANDER_GAP_MS = 3;
const HANDLER_MS = 50;
const ROUNDS = 15;

interface Round {
  /** Time from the first request to the last answer. */
  readonly stormMs: number;
  readonly connections: number;
  /** Time of one request to the same handler, with no other load. */
  readonly aloneMs: number;
  /** Time of each bystander during the storm, and without one. */
  readonly besideMs: readonly number[];
  readonly quietMs: readonly number[];
  /** The same storm on a bare route, and the bystanders beside that. */
  readonly bareStormMs: number;
  readonly bareBesideMs: readonly number[];
}

const postgres = await startPostgres();
const server = superviseScript({
  name: "the shop",
  script: new URL("storm-server.ts", import.meta.url),
  args: [postgres.url("postgres")],
});
try {
  const url = `http://127.0.0.1:${await server.up()}`;
  await round(url);
  const rounds: Round[] = [];
  for (let index = 0; index < ROUNDS; index += 1) rounds.push(await round(url));
  print(rounds);
} finally {
  await server.stop();
  await postgres.stop();
}

async function round(url: string): Promise<Round> {
  const aloneMs = await timed(() => pay(url, HANDLER_MS));
  const quietMs = await bystanders(url);
  const [bareStormMs, bareBesideMs] = await storm(url, "bare");
  await held();
  const [stormMs, besideMs] = await storm(url, "payments");
  const connections = await held();
  return { aloneMs, quietMs, stormMs, besideMs, bareStormMs, bareBesideMs, connections };
}

/** The storm and its bystanders, whose requests are payments in either case. */
function storm(url: string, route: "payments" | "bare"): Promise<[number, number[]]> {
  const key = crypto.randomUUID();
  const duplicates = () =>
    Promise.all(Array.from({ length: DUPLICATES }, () => pay(url, HANDLER_MS, { key, route })));
  return Promise.all([timed(duplicates), bystanders(url)]);
}

/** Requests with keys of their own and a handler that does not wait, one after the other begun. */
async function bystanders(url: string): Promise<number[]> {
  return Promise.all(
    Array.from({ length: BYSTANDERS }, async (_, index) => {
      await sleep(index * BYSTANDER_GAP_MS);
      return timed(() => pay(url, 0));
    }),
  );
}

async function pay(
  url: string,
  handlerMs: number,
  { key = crypto.randomUUID(), route = "payments" }: { key?: string; route?: string } = {},
): Promise<void> {
  const response = await fetch(`${url}/${route}`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": key },
    body: JSON.stringify({ handlerMs }),
  });
  await response.arrayBuffer();
  if (response.status !== 201) throw new Error(`answered with ${response.status}`);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

async function held(): Promise<number> {
  const child = server.child();
  child.send("held?");
  const [report] = (await once(child, "message")) as [StormReport];
  return report.connections;
}

function print(rounds: readonly Round[]): void {
  const rows: readonly (readonly [string, readonly number[]])[] = [
    ["one request to the handler, alone", rounds.map(({ aloneMs }) => aloneMs)],
    [`${DUPLICATES} duplicates, until all are answered`, rounds.map(({ stormMs }) => stormMs)],
    [`the same ${DUPLICATES} to a bare route`, rounds.map(({ bareStormMs }) => bareStormMs)],
    ["a bystander without the storm", rounds.flatMap(({ quietMs }) => quietMs)],
    ["a bystander during the duplicates", rounds.flatMap(({ besideMs }) => besideMs)],
    ["a bystander during those to the bare route", rounds.flatMap((one) => one.bareBesideMs)],
  ];
  console.log(`${ROUNDS} rounds; a handler of ${HANDLER_MS} ms; a pool of 16\n`);
  console.log("| | fastest ms | median ms | slowest ms |\n| - | - | - | - |");
  for (const [name, values] of rows) {
    const figures = [Math.min(...values), median(values), Math.max(...values)];
    console.log(`| ${name} | ${figures.map((value) => value.toFixed(1)).join(" | ")} |`);
  }
  const ratio = (of: (round: Round) => number): string => median(rounds.map(of)).toFixed(2);
  console.log(`
Medians of the rounds' ratios:
duplicates to one request alone: ${ratio((one) => one.stormMs / one.aloneMs)}, to the bare route: ${ratio((one) => one.stormMs / one.bareStormMs)}
bystanders to quiet ones: ${ratio((one) => median(one.besideMs) / median(one.quietMs))}, to those beside the bare route: ${ratio((one) => median(one.besideMs) / median(one.bareBesideMs))}
Connections out of the pool at the most, those of the bystanders included: ${Math.max(...rounds.map(({ connections }) => connections))}`);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low = Number.NaN, high = low] = sorted.slice(
    Math.ceil(middle) - 1,
    Math.floor(middle) + 1,
  );
  return (low + high) / 2;
}
