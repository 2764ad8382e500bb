/** One server of the rig as the rig sees it: a process that is started again whenever it ends, until it is told to stop. */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Reaper } from "@oncekey/test-support/processes/reaper";
import type { Trap } from "./boundaries.ts";
import { ENVIRONMENT } from "./messages.ts";
import type { FromServer, Inspection, ToServer } from "./messages.ts";

export interface ServerPlan {
  readonly name: string;
  readonly databaseUrl: string;
  /** Where a lease's handler has its effects. */
  readonly outsideUrl: string;
  readonly clockMs?: number;
  readonly isPipelined?: boolean;
  /** Who ends it where the rig cannot: a server that stands still hears of nothing. */
  readonly reaper: Reaper;
}

export interface ServerProcess {
  readonly name: string;
  /** Where it listens; undefined while it is down. */
  readonly port: () => number | undefined;
  readonly pid: () => number | undefined;
  /** Sets the trap and resolves when the process has stopped in it, or to false where that takes too long. */
  readonly catchIn: (trap: Trap, patienceMs: number) => Promise<boolean>;
  readonly signal: (signal: "SIGKILL" | "SIGSTOP" | "SIGCONT") => void;
  /** Resolves when it answers, after a kill too. */
  readonly up: () => Promise<void>;
  /** Asks again where it ends meanwhile. Undefined: for some seconds it gave no answer. */
  readonly inspect: () => Promise<Inspection | undefined>;
  /** How often it ended although nobody killed it. */
  readonly unexpectedEnds: () => number;
  readonly stop: () => Promise<void>;
}

const STOP_MS = 3_000;
const INSPECT_MS = 10_000;
// One that has just been started, or lost the question as it ended, is asked once more.
const ANSWER_MS = 3_000;
const POLL_MS = 20;

export function startServer(plan: ServerPlan): ServerProcess {
  let child = launch(plan);
  let port: number | undefined;
  let unexpected = 0;
  let isStopping = false;
  const killed = new WeakSet<ChildProcess>();
  let onCaught: (() => void) | undefined;

  const attend = (own: ChildProcess): void => {
    own.on("message", (message: FromServer) => {
      if (message.kind === "up" && own === child) port = message.port;
    });
    createInterface(own.stdio[4] as Readable).on("line", () => {
      // The trap struck just as it was taken away: nobody would ever let the process go on.
      if (onCaught === undefined) void letGoOn(own);
      else onCaught();
    });
    own.once("exit", () => {
      port = undefined;
      if (isStopping) return;
      if (!killed.has(own)) unexpected += 1;
      child = launch(plan);
      attend(child);
    });
  };
  attend(child);
  const tell = (message: ToServer): void => {
    // One that ended this moment shows as an error here and as an exit above.
    child.send(message, () => undefined);
  };

  const currentPort = (): number | undefined => port;

  return {
    name: plan.name,
    port: currentPort,
    pid: () => child.pid,
    async catchIn(trap, patienceMs) {
      const own = child;
      const caught = Promise.withResolvers<boolean>();
      const onExit = (): void => caught.resolve(false);
      onCaught = () => caught.resolve(true);
      own.once("exit", onExit);
      tell({ kind: "trap", trap });
      const late = sleep(patienceMs, false, { ref: false });
      const isCaught = await Promise.race([caught.promise, late]);
      onCaught = undefined;
      own.off("exit", onExit);
      if (isCaught) await hasStopped(own);
      if (!isCaught) tell({ kind: "trap", trap: undefined });
      return isCaught;
    },
    signal(signal) {
      if (signal === "SIGKILL") {
        killed.add(child);
        port = undefined;
      }
      child.kill(signal);
    },
    async up() {
      while (currentPort() === undefined) await sleep(POLL_MS);
    },
    async inspect() {
      const until = performance.now() + INSPECT_MS;
      while (performance.now() < until) {
        const inspection = await askOnce(child);
        if (inspection !== undefined) return inspection;
        await sleep(POLL_MS);
      }
      return undefined;
    },
    unexpectedEnds: () => unexpected,
    async stop() {
      isStopping = true;
      await end(child);
    },
  };
}

/** It says that it stops just before it does: a signal that lets it go on could come in between, and be for nothing. */
async function hasStopped({ pid }: ChildProcess): Promise<void> {
  for (let times = 0; times < STOP_MS / POLL_MS; times += 1) {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    // Behind the name, which may hold anything: the state, and T is "stopped".
    if (/\) T \S/.test(stat.slice(stat.lastIndexOf(")")))) return;
    await sleep(POLL_MS);
  }
}

/** Undefined: it ended, or is busy with something else. */
async function askOnce(child: ChildProcess): Promise<Inspection | undefined> {
  const answer = Promise.withResolvers<Inspection | undefined>();
  const onMessage = (message: FromServer): void => {
    if (message.kind === "inspected") answer.resolve(message.inspection);
  };
  const onNone = (): void => answer.resolve(undefined);
  child.on("message", onMessage);
  child.once("exit", onNone);
  const late = setTimeout(onNone, ANSWER_MS);
  const question: ToServer = { kind: "inspect" };
  child.send(question, (error) => {
    if (error !== null) onNone();
  });
  try {
    return await answer.promise;
  } finally {
    clearTimeout(late);
    child.off("message", onMessage);
    child.off("exit", onNone);
  }
}

async function letGoOn(child: ChildProcess): Promise<void> {
  await hasStopped(child);
  child.kill("SIGCONT");
}

function launch(plan: ServerPlan): ChildProcess {
  return fork(fileURLToPath(new URL("server.ts", import.meta.url)), [], {
    env: {
      ...process.env,
      ...plan.reaper.mark,
      [ENVIRONMENT.database]: plan.databaseUrl,
      [ENVIRONMENT.outside]: plan.outsideUrl,
      [ENVIRONMENT.name]: plan.name,
      [ENVIRONMENT.clock]: String(plan.clockMs ?? 0),
      ...(plan.isPipelined === true ? { [ENVIRONMENT.pipeline]: "on" } : {}),
    },
    execArgv: ["--conditions=@oncekey/source"],
    stdio: ["ignore", "ignore", "inherit", "ipc", "pipe"],
    // A Ctrl-C reaches the whole terminal; the rig decides when its servers end.
    detached: true,
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  // One that is stopped takes no notice of anything else.
  child.kill("SIGCONT");
  if (child.connected) child.disconnect();
  const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await gone;
  clearTimeout(late);
}
