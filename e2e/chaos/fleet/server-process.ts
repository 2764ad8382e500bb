/**
 * One server of the rig as the rig sees it: a process that is started again whenever it ends, until
 * `stop`.
 */
import type { ChildProcess } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { LimitError, until, within } from "@oncekey/test-support/processes/deadline";
import type { Reaper } from "@oncekey/test-support/processes/reaper";
import { superviseScript } from "@oncekey/test-support/processes/supervised";
import type { Trap } from "../protocol/boundaries.ts";
import { ENVIRONMENT } from "../protocol/messages.ts";
import type { FromServer, Inspection, ToServer } from "../protocol/messages.ts";
import type { ReportLine } from "../protocol/report-line.ts";

export interface ServerPlan {
  readonly name: string;
  readonly databaseUrl: string;
  /** Database in which a lease's handler has its effects. */
  readonly outsideUrl: string;
  readonly clockMs?: number;
  readonly isPipelined?: boolean;
  /** Default `MAX_HANDLER_MS`. */
  readonly maxHandlerMs?: number;
  /** Ends the server if the rig cannot: a stopped server receives nothing. */
  readonly reaper: Reaper;
}

export interface ServerProcess {
  readonly name: string;
  /** Returns its port; undefined while it is down. */
  readonly port: () => number | undefined;
  readonly pid: () => number | undefined;
  /** Sets the trap and resolves when the process has stopped in it, or to false where that takes too long. */
  readonly catchIn: (trap: Trap, patienceMs: number) => Promise<boolean>;
  /** Holds each handler from now on before its effect, until `letGo`. `held` resolves when one waits. */
  readonly holdHandlers: () => Promise<{
    readonly held: Promise<void>;
    readonly letGo: () => void;
  }>;
  readonly signal: (signal: "SIGKILL" | "SIGSTOP" | "SIGCONT") => void;
  /** Resolves when it answers, after a kill too. */
  readonly up: () => Promise<number>;
  /**
   * Asks again if it ends in the meantime. Undefined: it gave no answer for `patienceMs`, 30_000 by
   * default.
   */
  readonly inspect: (patienceMs?: number) => Promise<Inspection | undefined>;
  /** Returns the digests of the keys of crashed leases that it has found without a request. */
  readonly foundCrashed: () => ReadonlySet<string>;
  /** Returns how often it ended by itself. */
  readonly unexpectedEnds: () => number;
  readonly stop: () => Promise<void>;
}

// Long enough for a busy machine: an answer that does not come counts against the server.
const INSPECT_MS = 30_000;
// A server that was just started, or that lost the question as it ended, is asked again.
const ASK_AGAIN_MS = 3_000;

export function startServer(plan: ServerPlan): ServerProcess {
  let onCaught: (() => void) | undefined;
  let onHeld: (() => void) | undefined;
  const crashed = new Set<string>();
  const server = superviseScript({
    name: plan.name,
    script: new URL("../system/server.ts", import.meta.url),
    env: environmentOf(plan),
    stdio: ["ignore", "ignore", "inherit", "ipc", "pipe"],
    // The rig decides when its servers end.
    detached: true,
    isRestarted: true,
    onStart(child) {
      createInterface(child.stdio[4] as Readable).on("line", (text) => {
        const line = JSON.parse(text) as ReportLine;
        if (line.kind === "crashed") crashed.add(line.keyDigest);
        else if (line.kind === "held") onHeld?.();
        // The trap struck just as it was taken away: nothing else would ever let the process go on.
        else if (onCaught === undefined) void letGoOn(child);
        else onCaught();
      });
    },
  });
  const send = (message: ToServer): void => {
    // A server that ended this moment shows as an error here and as an exit to its supervisor.
    server.child().send(message, () => undefined);
  };
  return {
    name: plan.name,
    port: server.port,
    pid: () => server.child().pid,
    async catchIn(trap, patienceMs) {
      const own = server.child();
      const caught = Promise.withResolvers<boolean>();
      const onExit = (): void => caught.resolve(false);
      onCaught = () => caught.resolve(true);
      own.once("exit", onExit);
      send({ kind: "trap", trap });
      const limit = { what: "a request that comes by the trap", patienceMs };
      const isCaught = await within(caught.promise, limit).catch(() => false);
      onCaught = undefined;
      own.off("exit", onExit);
      if (isCaught) await hasStopped(own);
      else send({ kind: "trap", trap: undefined });
      return isCaught;
    },
    async holdHandlers() {
      const held = Promise.withResolvers<void>();
      onHeld = held.resolve;
      send({ kind: "gate", isClosed: true });
      // Its answer comes after the gate is closed.
      await askOnce(server.child(), INSPECT_MS);
      return { held: held.promise, letGo: () => send({ kind: "gate", isClosed: false }) };
    },
    signal(signal) {
      if (signal === "SIGKILL") server.kill();
      else server.child().kill(signal);
    },
    up: server.up,
    async inspect(patienceMs = INSPECT_MS) {
      const ask = () => askOnce(server.child(), Math.min(patienceMs, ASK_AGAIN_MS));
      try {
        return await until(ask, { what: `server ${plan.name} to answer`, patienceMs });
      } catch (error) {
        if (!(error instanceof LimitError)) throw error;
        return undefined;
      }
    },
    foundCrashed: () => crashed,
    unexpectedEnds: server.unexpectedEnds,
    stop: server.stop,
  };
}

/** A server announces its stop just before it stops: a signal to go on would be lost in between. */
async function hasStopped({ pid }: ChildProcess): Promise<void> {
  const isThere = async (): Promise<boolean> => {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "gone) T ");
    // The state follows the name, which may contain anything. T is "stopped".
    return /\) T /.test(stat.slice(stat.lastIndexOf(")")));
  };
  await until(isThere, { what: `process ${pid} to stop` });
}

/** Undefined: it ended, or is busy with something else. */
async function askOnce(child: ChildProcess, patienceMs: number): Promise<Inspection | undefined> {
  const answer = Promise.withResolvers<Inspection | undefined>();
  const onMessage = (message: FromServer): void => {
    if (message.kind === "inspected") answer.resolve(message.inspection);
  };
  const onNone = (): void => answer.resolve(undefined);
  child.on("message", onMessage);
  child.once("exit", onNone);
  const question: ToServer = { kind: "inspect" };
  child.send(question, (error) => {
    if (error !== null) onNone();
  });
  try {
    return await within(answer.promise, { what: "an inspection", patienceMs });
  } catch {
    return undefined;
  } finally {
    child.off("message", onMessage);
    child.off("exit", onNone);
  }
}

async function letGoOn(child: ChildProcess): Promise<void> {
  await hasStopped(child);
  child.kill("SIGCONT");
}

function environmentOf(plan: ServerPlan): Readonly<Record<string, string>> {
  return {
    ...plan.reaper.mark,
    [ENVIRONMENT.database]: plan.databaseUrl,
    [ENVIRONMENT.outside]: plan.outsideUrl,
    [ENVIRONMENT.name]: plan.name,
    [ENVIRONMENT.clock]: String(plan.clockMs ?? 0),
    ...(plan.maxHandlerMs === undefined
      ? {}
      : { [ENVIRONMENT.maxHandler]: String(plan.maxHandlerMs) }),
    ...(plan.isPipelined === true ? { [ENVIRONMENT.pipeline]: "on" } : {}),
  };
}
