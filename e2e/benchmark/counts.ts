/** Counts round trips and statements of single requests, on the wire to Postgres. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { createWire } from "@oncekey/test-support/wire/wire";
import type { Wire } from "@oncekey/test-support/wire/wire";
import type { Lab } from "./lab.ts";
import { PATH, SUBJECTS } from "./subjects/subjects.ts";
import type { Kind, SubjectName } from "./subjects/subjects.ts";

/** Means of one request, those behind its reply included. */
export interface Count {
  readonly subject: SubjectName;
  readonly kind: Kind;
  readonly trips: number;
  readonly statements: number;
}

const REQUESTS = 5;
const QUIET_MS = 30;

export async function countTrips(lab: Lab, subject: SubjectName): Promise<Count[]> {
  const url = new URL(await lab.database(subject));
  const wire = await createWire({ host: url.hostname, port: Number(url.port) });
  url.host = `127.0.0.1:${wire.port}`;
  const server = await lab.start(subject, url.href);
  const kinds = SUBJECTS.find(({ name }) => name === subject)?.kinds ?? [];
  const counts: Count[] = [];
  try {
    for (const kind of kinds) {
      const keys = Array.from({ length: REQUESTS }, () => randomUUID());
      const order = { port: server.port, path: PATH[kind], connections: 1, isReplay: undefined };
      const send = async (these: readonly string[]): Promise<void> => {
        for (const key of these) {
          await lab.loader.load({ ...order, keys: [key], until: { requests: 1 } });
          await stillness(wire);
        }
      };
      // Connections are open and statements prepared before anything is counted.
      await send(kind === "first" ? [randomUUID(), randomUUID()] : keys);
      wire.reset();
      await send(keys);
      const [trips, statements] = [wire.trips(), wire.statements()].map((all) => all / REQUESTS);
      counts.push({ subject, kind, trips: trips ?? 0, statements: statements ?? 0 });
    }
  } finally {
    await server.stop();
    await wire.close();
  }
  return counts;
}

/** Resolves when no further round trip begins: the end of a replay's transaction follows its reply. */
async function stillness(wire: Wire): Promise<void> {
  for (let before = -1; before !== wire.trips();) {
    before = wire.trips();
    await sleep(QUIET_MS);
  }
}
