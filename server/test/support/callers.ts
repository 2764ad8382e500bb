/** The callers of a server as it sees them, for tests that hang up. */
import type { EventEmitter } from "node:events";
import type { FastifyInstance } from "fastify";
import { until } from "@oncekey/test-support/processes/deadline";

export interface Callers {
  /** Resolves when the server has noticed that so many callers have hung up, or that their connections have ended. */
  gone(count: number): Promise<void>;
}

/** Watches the connections of all requests, and under HTTP/2 their streams. */
export function watchCallers(app: FastifyInstance): Callers {
  const closed = new Set<EventEmitter>();
  app.addHook("onRequest", (request, reply, done) => {
    const caller: EventEmitter = "stream" in reply.raw ? streamOf(reply.raw) : request.raw.socket;
    caller.once("close", () => closed.add(caller));
    done();
  });
  return {
    async gone(count) {
      await until(() => closed.size >= count, {
        what: () => `${count} callers to be gone, ${closed.size} are`,
      });
    },
  };
}

function streamOf(raw: object): EventEmitter {
  return Reflect.get(raw, "stream") as EventEmitter;
}
