/** A listener on one of the plugin's channels, for as long as a test needs it. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { TelemetryEvents } from "@oncekey/server";

/** Collects what is published on one channel while `use` runs. */
export async function listening<Name extends keyof TelemetryEvents>(
  name: Name,
  use: (events: TelemetryEvents[Name][]) => Promise<void>,
): Promise<void> {
  const events: TelemetryEvents[Name][] = [];
  const listener = (message: unknown): void => {
    events.push(message as TelemetryEvents[Name]);
  };
  subscribe(name, listener);
  try {
    await use(events);
  } finally {
    unsubscribe(name, listener);
  }
}
