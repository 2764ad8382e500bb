/** Kills a server at every point of a request, and looks whether the request's key still has one effect and one answer. */
import { randomUUID } from "node:crypto";
import { checkKey } from "./checker.ts";
import { CRASH_POINTS } from "./crash-points.ts";
import type { CrashPoint } from "./crash-points.ts";
import { send, sendUntilFinal } from "./send.ts";
import type { TestedRequest } from "./send.ts";
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
 * again, and sends the same request under the same key until its answer is final, then many times at once, and then another request
 * under that key. First of all the same without a crash.
 *
 * @returns what became of each request.
 * @throws Error that lists what was broken: a point that the request did not reach (is the route protected?), more or less than one
 * effect behind a success, more than one behind a refusal, answers that differ in status, body or a stored header, more than one that
 * is no replay, or an answer of its own to the other request.
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
    const other = await sendUntilFinal(server.origin, anotherThan(request), key, patienceMs);
    const effects = (await countEffects()) - before;
    const broken = checkKey({ answers, other, effects });
    return {
      point: point ?? "none",
      status: answers[0]?.status ?? 0,
      effects,
      broken: missed === undefined ? broken : [missed, ...broken],
    };
  } finally {
    await server.stop();
  }
}

/** By its query: whatever the body is, and whether there is one. */
function anotherThan(request: TestedRequest): TestedRequest {
  const sign = request.path.includes("?") ? "&" : "?";
  return { ...request, path: `${request.path}${sign}another=1` };
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
