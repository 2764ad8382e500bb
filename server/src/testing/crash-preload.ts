/** Preload (`--import`) for a server under test: kills its process at the given point. */
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { ServerResponse } from "node:http";
import { Socket } from "node:net";
import type { FastifyInstance } from "fastify";
import { encodeText } from "../store/postgres/encode.ts";
import type { BeginEvent, CompleteEvent } from "../telemetry/events.ts";
import { CRASH_AT } from "./crash-points.ts";
import type { CrashPoint } from "./crash-points.ts";

/** Progress of a request that holds a claim; `asked` is every other request. */
interface Passage {
  at: "asked" | "claimed" | "handled" | "stored";
}

const point = process.env[CRASH_AT];
const passage = new AsyncLocalStorage<Passage>();

subscribe("fastify.initialization", (message) => {
  const { fastify } = message as { readonly fastify: FastifyInstance };
  fastify.addHook("preHandler", (_request, reply, done) => {
    breakOff(reply.raw);
    passage.run({ at: "asked" }, done);
  });
  // Before the hook that stores the response, because it was added before any plugin.
  fastify.addHook("onSend", (_request, _reply, payload, done) => {
    advance("claimed", "handled");
    done(null, payload);
  });
});
subscribe("oncekey:begin", (message) => {
  const { outcome } = message as BeginEvent;
  if (outcome === "claimed" || outcome === "crashed") advance("asked", "claimed");
});
subscribe("oncekey:complete", (message) => {
  if ((message as CompleteEvent).outcome === "stored") advance("handled", "stored");
});
watchCommits();

function advance(from: Passage["at"], to: Exclude<Passage["at"], "asked">): void {
  const own = passage.getStore();
  if (own?.at !== from) return;
  own.at = to;
  crashAt(to);
}

function crashAt(reached: CrashPoint): void {
  // As the kernel does it: no handler runs, nothing is flushed, no connection is closed in order.
  if (point === reached) process.kill(process.pid, "SIGKILL");
}

/** The store writes a batch as one buffer, and `pg` corks its stream for the messages of one: either has left when nothing is corked. */
function watchCommits(): void {
  type Method = (this: Socket, ...given: unknown[]) => boolean;
  const { write, uncork } = Socket.prototype as unknown as { write: Method; uncork: Method };
  // The text where it is prepared, and the name where a prepared statement is bound.
  const commits = ["\0commit\0", encodeText("commit").named];
  let isCommitWritten = false;
  const crashIfSent = (socket: Socket): void => {
    if (isCommitWritten && socket.writableCorked === 0) crashAt("commit-sent");
  };
  Object.assign(Socket.prototype, {
    write(this: Socket, ...given: unknown[]): boolean {
      const [chunk] = given;
      const isOurs = passage.getStore()?.at === "handled" && chunk instanceof Uint8Array;
      if (isOurs && commits.some((one) => Buffer.from(chunk).includes(one))) isCommitWritten = true;
      const isBelowMark = write.apply(this, given);
      crashIfSent(this);
      return isBelowMark;
    },
    uncork(this: Socket): void {
      uncork.call(this);
      crashIfSent(this);
    },
  });
}

function breakOff(raw: ServerResponse): void {
  if (point !== "half-sent") return;
  const end = raw.end.bind(raw) as (...given: readonly unknown[]) => ServerResponse;
  Object.assign(raw, {
    end(...given: readonly unknown[]): ServerResponse {
      const [payload] = given;
      const isBytes = typeof payload === "string" || payload instanceof Uint8Array;
      if (!isBytes || passage.getStore()?.at !== "stored") return end(...given);
      const bytes = Buffer.from(payload);
      raw.write(bytes.subarray(0, bytes.length / 2));
      // Node holds the first write back for what follows in the same tick, and here nothing follows.
      while (raw.socket !== null && raw.socket.writableCorked > 0) raw.socket.uncork();
      crashAt("half-sent");
      return raw;
    },
  });
}
