/** Plays one history: processes over one database, callers that retry, and faults in between. */
import type { Scheduler } from "fast-check";
import type { Ticket } from "../../src/store/store.ts";
import type { FlightFault, Line } from "./connection.ts";
import { createDatabase } from "./database.ts";
import { createLedger } from "./ledger.ts";
import type { Ledger } from "./ledger.ts";
import { createProcess } from "./process.ts";
import type { Plan, Rules, ServerProcess, Surroundings } from "./process.ts";
import type { VirtualTime } from "./virtual-time.ts";

export interface Asked {
  readonly key: string;
  readonly scope: string;
  /** Which of two requests it is. */
  readonly content: 0 | 1;
  readonly process: number;
  /** Delay after the first requests. */
  readonly afterMs: number;
}

/** Event of the history, with its delay after the start. */
export type Event = { readonly afterMs: number } & Happening;

type Happening =
  | { readonly kind: "crash"; readonly process: number }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "sweep"; readonly process: number }
  /** Fault of the first key that is asked for. */
  | { readonly kind: "forget"; readonly process: number };

export interface History {
  readonly rules: Rules;
  readonly asked: readonly Asked[];
  readonly events: readonly Event[];
  /** Faults of the first round trips to the database, in order. */
  readonly faults: readonly FlightFault[];
  /** Behaviour of the first runs of each key's handler, in order. */
  readonly plans: readonly Plan[];
  /** Numbers that replace `Math.random`, repeated. */
  readonly chances: readonly number[];
}

/** Number of processes at once. */
export const PROCESSES = 2;
/** Attempts of a caller before it gives up, and the delay between them. */
const TRIES = 3;
const PAUSE_MS = 700;
/** Longer than anything takes that neither caller nor handler notices. */
const QUIET_MS = 120_000;
/** Offset of the database's clock, which no process shares. */
const DATABASE_AHEAD_MS = 3_600_000;
/** More than any history takes. */
const MOST_STEPS = 20_000;

interface Stage {
  readonly time: VirtualTime;
  readonly processes: ServerProcess[];
  readonly step: (label: string) => Promise<void>;
  readonly ledger: Ledger;
  /** Something moves: the history is not over. */
  readonly move: () => void;
}

/** Resolves to what went wrong, or `undefined`. */
export async function play(
  history: History,
  scheduler: Scheduler,
  time: VirtualTime,
): Promise<string | undefined> {
  const now = (): number => time.now() + DATABASE_AHEAD_MS;
  const ledger = createLedger(history.rules, isCalm(history), now);
  const database = createDatabase(now, (change) => ledger.changed(change));
  const step = (label: string): Promise<void> => scheduler.schedule(Promise.resolve(), label);
  const faults = [...history.faults];
  let movedAt = 0;
  const move = (): void => {
    movedAt = time.now();
  };
  const isQuiet = (): boolean => time.now() > movedAt + QUIET_MS;
  const world: Surroundings = {
    runs: (ticket) => {
      move();
      const run = ledger.runs(ticket);
      return { run, plan: history.plans[run] ?? "answer" };
    },
    ends(ticket) {
      move();
      ledger.ends(ticket);
    },
    happens: (ticket, downstream) => ledger.happens(ticket, downstream),
    lostAfterEnd: (ticket) => ledger.lostAfterEnd(ticket),
    stored: (ticket, body) => ledger.stored(ticket, body),
  };
  const start = (): ServerProcess => {
    let isDead = false;
    const line: Line = {
      database,
      time,
      step,
      nextFault: () => faults.shift() ?? "none",
      isDead: () => isDead,
    };
    const process = createProcess(line, history.rules, world);
    return {
      ...process,
      die() {
        isDead = true;
        process.die();
      },
    };
  };
  const processes = Array.from({ length: PROCESSES }, start);
  const stage: Stage = { time, processes, step, ledger, move };
  const happen = async (event: Event): Promise<void> => {
    await time.after(event.afterMs);
    await step(event.kind);
    move();
    if (event.kind === "pass") return time.pass(event.ms);
    const process = processes[event.process];
    if (process === undefined) return undefined;
    if (event.kind === "sweep") return process.sweep();
    if (event.kind === "forget") return forget(history.asked, process, ledger);
    process.die();
    processes[event.process] = start();
    return undefined;
  };
  for (const event of history.events) void happen(event);
  for (const asked of history.asked) void call(asked, stage, TRIES);
  const endless = await toTheEnd(scheduler, time, isQuiet);
  if (endless !== undefined) return `the history ${endless}`;
  // All faults have ended: the remaining callers retry until they have an answer, at processes that remember nothing.
  faults.length = 0;
  processes.forEach((process, at) => {
    process.die();
    processes[at] = start();
  });
  for (const asked of history.asked) void call(asked, stage, TRIES * 10);
  const restless = await toTheEnd(scheduler, time, isQuiet);
  if (restless !== undefined) return `the calm ${restless}`;
  const left = processes.reduce((sum, { outCount }) => sum + outCount(), 0);
  if (left > 0) return `${left} connections are still out`;
  if (database.open.size > 0) return `${database.open.size} transactions are still open`;
  return ledger.judge(database);
}

/** Whether no fault can take a key from a running handler: no loss, no death, no expiry, no sweep, no deletion. */
function isCalm({ events, faults }: History): boolean {
  const isQuiet = events.every(({ kind }) => kind === "sweep" || kind === "forget");
  return isQuiet && faults.every((fault) => fault === "none");
}

/** Retries until the answer is final, each time at the next process. If the process dies, the caller stops. */
async function call(
  asked: Asked,
  { processes, step, ledger, move, time }: Stage,
  tries: number,
): Promise<void> {
  const ticket = ticketOf(asked);
  await time.after(asked.afterMs);
  for (let turn = 0; turn < tries; turn += 1) {
    await step("a request is sent");
    const process = processes[(asked.process + turn) % processes.length];
    if (process === undefined) return;
    const asking = ledger.asks(ticket, process);
    const answer = await process.serve(ticket);
    move();
    ledger.answered(asking, answer);
    if (answer.kind !== "again") return;
    await time.after(PAUSE_MS);
  }
}

async function forget(
  [first]: readonly Asked[],
  process: ServerProcess,
  ledger: Ledger,
): Promise<void> {
  if (first === undefined) return;
  const ticket = ticketOf(first);
  if (await process.forget(ticket)) ledger.forgot(ticket, process);
}

function ticketOf({ key, scope, content }: Asked): Ticket {
  return { key, scope, target: "POST /orders", fingerprint: Buffer.from([content]) };
}

/**
 * Runs one step after another in the scheduler's order. If every step waits for time, it advances the clock.
 *
 * @returns the reason why the history does not end, or `undefined`.
 */
async function toTheEnd(
  scheduler: Scheduler,
  time: VirtualTime,
  isQuiet: () => boolean,
): Promise<string | undefined> {
  for (let steps = 0; steps < MOST_STEPS; steps += 1) {
    await settled();
    if (scheduler.count() > 0) await scheduler.waitOne();
    else if (!time.skip()) return undefined;
    else if (isQuiet()) return "goes on where nobody asks and nothing runs";
  }
  return "does not come to an end";
}

/** Every promise that can go on has gone on before the next turn of the event loop. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
