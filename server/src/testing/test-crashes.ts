/** Kills a server at every point of a request, and looks whether the request's key still has one effect and one answer. */
import { randomUUID } from "node:crypto";
import { CRASH_POINTS } from "./crash-points.ts";
import type { CrashPoint } from "./crash-points.ts";
import { send, sendUntilFinal } from "./exchange.ts";
import type { Answer } from "./exchange.ts";
import { checkCrashTest } from "./options.ts";
import type { CrashTestOptions } from "./options.ts";
import { startServer } from "./server-process.ts";

/** What became of one request. */
export interface CrashedRequest {
  /** Where its server died; `none`: it was sent many times at once and nothing died. */
  readonly point: CrashPoint | "none";
  /** Of its final answer. */
  readonly status: number;
  /** How many effects it had. */
  readonly effects: number;
}

interface Tested extends CrashedRequest {
  readonly broken: readonly string[];
}

const DUPLICATES = 16;

/**
 * For each crash point: starts the server, sends the request under a new key, has the process killed at the point by SIGKILL, starts it
 * again, and sends the same request under the same key until its answer is final, and then many times at once. First of all the same
 * without a crash.
 *
 * @returns what became of each request.
 * @throws Error that lists what was broken: a point that the request did not reach (is the route protected?), more or less than one
 * effect behind a success, an effect behind a refusal that is more than one, or answers that differ.
 * @throws TypeError or RangeError that names a wrong option and what is allowed.
 */
export async function testCrashes(options: CrashTestOptions): Promise<CrashedRequest[]> {
  checkCrashTest(options);
  const tested: Tested[] = [];
  for (const point of [undefined, ...(options.points ?? CRASH_POINTS)]) {
    tested.push(await testOne(options, point));
  }
  const broken = tested.flatMap((one) => one.broken.map((what) => `${one.point}: ${what}`));
  if (broken.length > 0)
    throw new Error(`the promise of one effect is broken\n${broken.join("\n")}`);
  return tested.map(({ point, status, effects }) => ({ point, status, effects }));
}

async function testOne(options: CrashTestOptions, point: CrashPoint | undefined): Promise<Tested> {
  const key = randomUUID();
  const { request, countEffects, patienceMs = 60_000 } = options;
  const before = await countEffects();
  const missed = point && (await crash(options, point, key));
  const server = await startServer(options, undefined);
  try {
    const first = point && (await sendUntilFinal(server.origin, request, key, patienceMs));
    const others = await Promise.all(
      Array.from({ length: DUPLICATES }, () =>
        sendUntilFinal(server.origin, request, key, patienceMs),
      ),
    );
    const answers = first === undefined ? others : [first, ...others];
    const effects = (await countEffects()) - before;
    const broken = [missed, wrongEffects(answers, effects), difference(answers)];
    return {
      point: point ?? "none",
      status: answers[0]?.status ?? 0,
      effects,
      broken: broken.filter((what) => what !== undefined),
    };
  } finally {
    await server.stop();
  }
}

/** Sends the request to a server that is to die at the point. Returns what happened instead, if it did not. */
async function crash(
  options: CrashTestOptions,
  point: CrashPoint,
  key: string,
): Promise<string | undefined> {
  const server = await startServer(options, point);
  try {
    const answer = await send(server.origin, options.request, key).catch(() => undefined);
    if (answer !== undefined) return `not reached, and answered with ${answer.status}`;
    await server.ended;
    const ending = server.ending();
    return ending === "SIGKILL" ? undefined : `the server ended with ${ending} on its way there`;
  } finally {
    await server.stop();
  }
}

function wrongEffects([answer]: readonly Answer[], effects: number): string | undefined {
  const isSuccess = answer !== undefined && answer.status >= 200 && answer.status < 300;
  const isRight = effects === 1 || (effects === 0 && !isSuccess);
  return isRight ? undefined : `${effects} effects behind a ${answer?.status}`;
}

function difference(answers: readonly Answer[]): string | undefined {
  const different = new Set(answers.map(({ status, body }) => `${status} ${body}`));
  return different.size > 1
    ? `${different.size} answers: ${[...different].join(" | ")}`
    : undefined;
}
