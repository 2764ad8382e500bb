/** Kills a server at every point of a request, and checks that the request's key still has one effect and one answer. */
import { randomUUID } from "node:crypto";
import { checkKey, timesOf } from "./checker.ts";
import { CRASH_POINTS } from "./crash-points.ts";
import type { CrashPoint } from "./crash-points.ts";
import { changesBetween, effectsOf, expectedChanges, takeSnapshot } from "./effects.ts";
import type { Snapshot } from "./effects.ts";
import { send, sendUntilFinal } from "./send.ts";
import type { TestedRequest } from "./send.ts";
import { checkCrashTest } from "./options.ts";
import type { CrashTestOptions } from "./options.ts";
import { startServer } from "./server-process.ts";

/** Result of one request. */
export interface CrashedRequest {
  /**
   * Point at which its server was killed. `none`: the request was sent many times at once, without
   * a kill.
   */
  readonly point: CrashPoint | "none";
  /** The status of its final answer. */
  readonly status: number;
  /**
   * Number of effects relative to one run without a crash, by the table or counter that changed
   * most.
   */
  readonly effects: number;
}

interface Tested extends CrashedRequest {
  readonly broken: readonly string[];
}

const DUPLICATES = 16;

/**
 * For each crash point: starts the server, sends the request under a new key, kills the process by
 * SIGKILL and starts it again. Then sends the same request under the same key until its answer is
 * final, then many times at once. At last sends another request under that key. A first round
 * without a crash records the changes of one run.
 *
 * @returns the result of each request.
 * @throws Error that lists the broken invariants: a point that the request did not reach (is the
 *   route protected?); other changes than one run's after a success, or more than these after a
 *   refusal; answers that differ in status, body or a stored header; a second answer that is no
 *   replay; an answer of its own to the other request.
 * @throws TypeError or RangeError that names a wrong option and what is allowed.
 */
export async function testCrashes(options: CrashTestOptions): Promise<CrashedRequest[]> {
  checkCrashTest(options);
  const expected = await measureOneRun(options);
  const tested: Tested[] = [];
  for (const point of [undefined, ...(options.points ?? CRASH_POINTS)]) {
    tested.push(await testOne(options, point, expected));
  }
  const broken = tested.flatMap((one) => one.broken.map((what) => `${one.point}: ${what}`));
  if (broken.length > 0)
    throw new Error(`the promise of one effect is broken\n${broken.join("\n")}`);
  return tested.map(({ point, status, effects }) => ({ point, status, effects }));
}

/** Returns what one request changes. The first of three makes what only a first one makes, such as a customer. */
async function measureOneRun(options: CrashTestOptions): Promise<Snapshot> {
  const server = await startServer(options, undefined);
  const changes: Snapshot[] = [];
  try {
    for (let run = 0; run < 3; run += 1) {
      const request = await prepare(options);
      const before = await takeSnapshot(options);
      await sendUntilFinal(server.origin, request, randomUUID(), patienceOf(options));
      changes.push(changesBetween(before, await takeSnapshot(options)));
    }
  } finally {
    await server.stop();
  }
  const [, one = new Map(), other = new Map()] = changes;
  return expectedChanges(one, other);
}

async function testOne(
  options: CrashTestOptions,
  point: CrashPoint | undefined,
  expected: Snapshot,
): Promise<Tested> {
  const key = randomUUID();
  const patienceMs = patienceOf(options);
  const request = await prepare(options);
  const before = await takeSnapshot(options);
  const missed = point && (await crash(options, request, point, key));
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
    const effects = effectsOf(changesBetween(before, await takeSnapshot(options)), expected);
    const broken = checkKey({ answers, other, effects });
    return {
      point: point ?? "none",
      status: answers[0]?.status ?? 0,
      effects: timesOf(effects),
      broken: missed === undefined ? broken : [missed, ...broken],
    };
  } finally {
    await server.stop();
  }
}

async function prepare({ request }: CrashTestOptions): Promise<TestedRequest> {
  return typeof request === "function" ? request() : request;
}

function patienceOf({ patienceMs = 60_000 }: CrashTestOptions): number {
  return patienceMs;
}

/** Returns another request by its query: whatever the body is, and whether there is one. */
function anotherThan(request: TestedRequest): TestedRequest {
  const sign = request.path.includes("?") ? "&" : "?";
  return { ...request, path: `${request.path}${sign}another=1` };
}

/** Sends the request to a server that dies at the point. Returns what happened instead, if it did not. */
async function crash(
  options: CrashTestOptions,
  request: TestedRequest,
  point: CrashPoint,
  key: string,
): Promise<string | undefined> {
  const server = await startServer(options, point);
  try {
    const answer = await send(server.origin, request, key).catch(() => undefined);
    if (answer !== undefined) return `not reached, and answered with ${answer.status}`;
    await server.ended;
    const ending = server.ending();
    return ending === "SIGKILL" ? undefined : `the server ended with ${ending} on its way there`;
  } finally {
    await server.stop();
  }
}
