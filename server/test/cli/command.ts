/** Runs the command from its sources: its function, or a process of its own. */
import { spawn } from "node:child_process";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { isDeep } from "@oncekey/test-support/lanes/depth";
import { run } from "../../src/cli/program.ts";

/** Exit code and output of a command line. */
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
/** `script` of util-linux: runs a program in a pseudo-terminal. */
const TERMINAL = "script";
const SOURCES = ["--conditions=@oncekey/source"];

/**
 * Runs a command line. Standard input is no terminal.
 *
 * Calls the command's function, and in the lane `deep` the command as a process. Arguments of node and other properties of a
 * process always start one.
 */
export async function oncekey(
  args: readonly string[],
  surroundings: Surroundings = {},
): Promise<Ended> {
  const { env = {}, nodeArgs, closeAfterBytes } = surroundings;
  const needsProcess = nodeArgs !== undefined || closeAfterBytes !== undefined;
  if (isDeep || needsProcess) return oncekeyProcess(args, surroundings);
  // Exit code, environment and outputs belong to the whole process: one at a time.
  const turn = lastTurn.then(() => callOncekey(args, env));
  lastTurn = turn.catch(() => undefined);
  return turn;
}

let lastTurn: Promise<unknown> = Promise.resolve();

async function callOncekey(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Ended> {
  const surroundings = { ...process.env };
  const { exitCode } = process;
  const [out, err] = [capture(process.stdout), capture(process.stderr)];
  process.env = { ...withoutPostgres(), ...env };
  process.exitCode = undefined;
  try {
    const code = await run(args);
    return { code, out: out.text(), err: err.text() };
  } finally {
    out.release();
    err.release();
    process.env = surroundings;
    process.exitCode = exitCode;
  }
}

interface Capture {
  readonly text: () => string;
  readonly release: () => void;
}

/** Keeps what is written to a stream from it. */
function capture(stream: NodeJS.WriteStream): Capture {
  const write = stream.write.bind(stream);
  let written = "";
  stream.write = (chunk: string | Uint8Array) => {
    written += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString();
    return true;
  };
  return {
    text: () => written,
    release: () => {
      stream.write = write;
    },
  };
}

/** Runs a command line as a process, whose standard input is at its end. */
export async function oncekeyProcess(
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

/** Starts a command that runs on, and waits for its first line. `interrupt` ends it and resolves with its exit code. */
export async function oncekeyUntilLine(
  args: readonly string[],
): Promise<{ readonly line: string; readonly interrupt: () => Promise<number | null> }> {
  const child = spawn(process.execPath, [...SOURCES, MAIN, ...args], {
    env: withoutPostgres(),
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout });
  const [line] = (await once(lines, "line")) as [string];
  const closed = once(child, "close") as Promise<[number | null]>;
  const interrupt = async (): Promise<number | null> => {
    child.kill("SIGINT");
    const [code] = await closed;
    return code;
  };
  return { line, interrupt };
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

// The environment of the tests may name another database.
function withoutPostgres(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PG")));
}

function quote(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
