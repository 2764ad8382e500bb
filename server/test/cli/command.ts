/** Runs the command as a process of its own, from its sources. */
import { spawn } from "node:child_process";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

/** How a command line ended. */
export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  /** For node itself. */
  readonly nodeArgs?: readonly string[];
  /** Reads that much of standard output at least, and then closes it. */
  readonly closeAfterBytes?: number;
}

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
/** Of util-linux: runs a program in a pseudo-terminal. */
const TERMINAL = "script";
const SOURCES = ["--conditions=@oncekey/source"];

/** Standard input is no terminal, and at its end. */
export async function oncekey(
  args: readonly string[],
  { env = {}, nodeArgs = [], closeAfterBytes }: Surroundings = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [...SOURCES, ...nodeArgs, MAIN, ...args], {
    env: { ...withoutPostgres(), ...env },
    stdio: "pipe",
  });
  child.stdin.end();
  if (closeAfterBytes === undefined) return ended(child);
  let seen = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    seen += chunk.length;
    if (seen >= closeAfterBytes) child.stdout.destroy();
  });
  const [err, [code]] = await Promise.all([
    text(child.stderr),
    once(child, "exit") as Promise<[number | null]>,
  ]);
  return { code, out: "", err };
}

/**
 * Runs it in a pseudo-terminal, made by util-linux's `script`, and types `answer` each time the terminal shows `question`. Both
 * outputs arrive in `out`, as a person sees them.
 */
export async function oncekeyInTerminal(
  args: readonly string[],
  { question, answer }: { readonly question?: string; readonly answer?: string } = {},
): Promise<Ended> {
  const line = [process.execPath, ...SOURCES, MAIN, ...args].map(quote).join(" ");
  const child = spawn(TERMINAL, ["-qec", line, "/dev/null"], {
    env: withoutPostgres(),
    stdio: "pipe",
  });
  let shown = "";
  child.stdout.on("data", (chunk: Buffer) => {
    shown += chunk.toString();
    if (question === undefined || !shown.includes(question)) return;
    shown = "";
    child.stdin.write(answer);
  });
  return ended(child);
}

/** The one JSON document on standard output. */
export async function oncekeyJson<Value>(args: readonly string[], code = 0): Promise<Value> {
  const result = await oncekey([...args, "--json"]);
  expect(result.code, result.err).toBe(code);
  return JSON.parse(result.out) as Value;
}

async function ended(child: ChildProcessWithoutNullStreams): Promise<Ended> {
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close") as Promise<[number | null]>,
  ]);
  return { code, out, err };
}

// Whoever runs the tests may have a database of their own in the environment.
function withoutPostgres(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PG")));
}

function quote(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
