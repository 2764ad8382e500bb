/** Reads a CPU profile of V8: which functions and packages use the time. */

/** The part of the format that is read (Chrome DevTools Protocol, `Profiler.Profile`). */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  /** µs between the samples. */
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
  };
}

const WAITING = new Set(["(idle)", "(root)"]);

// The start of the profile itself.
const INSPECTOR = "node:inspector";

/** Returns rows of a table: first the packages, then the functions that use most time by themselves. */
export function summariseCpuProfile(
  { nodes, samples, timeDeltas }: CpuProfile,
  requests: number,
  shown: number,
): string[][] {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const byFunction = new Map<string, number>();
  const byPackage = new Map<string, number>();
  let busyUs = 0;
  for (const [index, id] of samples.entries()) {
    const frame = frames.get(id);
    const us = timeDeltas[index] ?? 0;
    if (frame === undefined || WAITING.has(frame.functionName) || frame.url === INSPECTOR) continue;
    busyUs += us;
    add(byPackage, packageOf(frame), us);
    add(byFunction, `\`${frame.functionName || "(anonymous)"}\` ${placeOf(frame)}`, us);
  }
  const rowsOf = (of: ReadonlyMap<string, number>, count: number): string[][] =>
    [...of]
      .toSorted(([, one], [, other]) => other - one)
      .slice(0, count)
      .map(([name, us]) => [name, (us / requests).toFixed(1), ((100 * us) / busyUs).toFixed(1)]);
  return [
    ["where", "µs a request", "% of the busy time"],
    ["-", "-", "-"],
    ...rowsOf(byPackage, byPackage.size).map(([name = "", ...rest]) => [`**${name}**`, ...rest]),
    ...rowsOf(byFunction, shown),
  ];
}

function add(sums: Map<string, number>, name: string, us: number): void {
  sums.set(name, (sums.get(name) ?? 0) + us);
}

function packageOf({ functionName, url }: ProfileNode["callFrame"]): string {
  if (functionName.startsWith("(")) return functionName;
  if (url === "") return "V8 and native code";
  if (url.startsWith("node:")) return "node";
  const found = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url);
  return found?.[1] ?? /\/(client|server|shared|e2e)\//.exec(url)?.[1] ?? "other";
}

function placeOf({ url, lineNumber }: ProfileNode["callFrame"]): string {
  if (url === "") return "";
  const short = url
    .replace(/^file:\/\//, "")
    .split("/")
    .slice(-2)
    .join("/");
  return `${short}:${lineNumber + 1}`;
}
