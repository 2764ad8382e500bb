/** One server process of the rig. It lives as long as the process that started it, and no longer. */
import { subscribe } from "node:diagnostics_channel";
import type { BeginEvent, CompleteEvent, CrashedEvent, LeaseLostEvent } from "@oncekey/server";
import { endWithParent, reportPort } from "@oncekey/test-support/processes/report-port";
import { Pool } from "pg";
import { createApp } from "./app.ts";
import { shiftClock } from "./clock.ts";
import { setTrap } from "./freeze.ts";
import { setGate } from "./gate.ts";
import { ENVIRONMENT } from "../protocol/messages.ts";
import type { FromServer, ToServer } from "../protocol/messages.ts";
import { reportLine } from "../protocol/report-line.ts";
import { MAX_HANDLER_MS } from "../protocol/routes.ts";
import { createTurningPool } from "./turning-pool.ts";
import { watchListeners } from "./watch-listeners.ts";
import { watchPool } from "./watch-pool.ts";

endWithParent();

shiftClock(Number(process.env[ENVIRONMENT.clock] ?? 0));

const name = process.env[ENVIRONMENT.name];
const settings = { max: 20, connectionTimeoutMillis: 5_000, application_name: `rig ${name}` };
const pool = new Pool({
  connectionString: process.env[ENVIRONMENT.database],
  pipeline: process.env[ENVIRONMENT.pipeline] !== undefined,
  ...settings,
});
const outside = new Pool({ connectionString: process.env[ENVIRONMENT.outside], ...settings });
outside.on("error", () => undefined);
const turning = createTurningPool({
  connectionString: process.env[ENVIRONMENT.database],
  ...settings,
  max: 5,
});
watchPool(pool);
const listenersLeft = watchListeners(pool);

// Counted: one that lost its lease may learn that after the one that took it over has ended, in the same process.
const running = new Map<string, number>();
const count = (key: string, change: number): number => {
  const sum = (running.get(key) ?? 0) + change;
  if (sum > 0) running.set(key, sum);
  else running.delete(key);
  return sum;
};
let lostAfterEnd = 0;
// Crash recovery has a lease without a request: it may lose that too.
const recovered = new Set<string>();
subscribe("oncekey:crashed", (event) => {
  const { foundBy, keyDigest = "" } = event as CrashedEvent;
  if (foundBy === "retry") return;
  recovered.add(keyDigest);
  reportLine({ kind: "crashed", keyDigest });
});
subscribe("oncekey:begin", (event) => {
  const { strategy, outcome, keyDigest = "" } = event as BeginEvent;
  if (strategy === "lease" && (outcome === "claimed" || outcome === "crashed")) count(keyDigest, 1);
});
subscribe("oncekey:complete", (event) => {
  const { strategy, keyDigest = "" } = event as CompleteEvent;
  if (strategy === "lease") count(keyDigest, -1);
});
subscribe("oncekey:lease-lost", (event) => {
  const { keyDigest = "" } = event as LeaseLostEvent;
  if (!running.has(keyDigest) && !recovered.has(keyDigest)) lostAfterEnd += 1;
});

process.on("message", (message: ToServer) => {
  switch (message.kind) {
    case "trap":
      setTrap(message.trap);
      break;
    case "gate":
      setGate(message.isClosed);
      break;
    case "inspect":
      say({
        kind: "inspected",
        inspection: {
          checkedOut: pool.totalCount - pool.idleCount,
          waiting: pool.waitingCount,
          unendedPools: turning.unended(),
          lostAfterEnd,
          listenersLeft: listenersLeft(),
          residentBytes: process.memoryUsage.rss(),
          handles: process.getActiveResourcesInfo().length,
        },
      });
      break;
    default:
      message satisfies never;
  }
});

const maxHandlerMs = Number(process.env[ENVIRONMENT.maxHandler] ?? MAX_HANDLER_MS);
const app = await createApp({ pool, outside, turning }, maxHandlerMs);
await app.listen({ host: "127.0.0.1", port: 0 });
process.once("SIGTERM", () => void leave());
reportPort(app);

/** As a deployment ends a server: what runs is finished, and every connection is back before it goes. */
async function leave(): Promise<void> {
  // By default a connection that its caller keeps, and on which a reply leaves after this moment, holds the close up for 72 s.
  app.server.keepAliveTimeout = 1;
  await app.close();
  await Promise.all([pool.end(), outside.end(), turning.end()]);
  process.disconnect();
}

function say(message: FromServer): void {
  // A rig that went this very moment shows as an error, and then as a disconnect.
  process.send?.(message, undefined, undefined, () => undefined);
}
