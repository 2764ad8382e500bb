/** Kills a server of each library around its commit. */
import { fileURLToPath } from "node:url";
import { testCrashes } from "@oncekey/server/testing";
import { isDeep } from "@oncekey/test-support/lanes/depth";
import { expect, it } from "vitest";
import type { Payments } from "./payments.ts";

const SERVER = fileURLToPath(new URL("crash-server.ts", import.meta.url));

/** Ends only what hangs: the test starts five servers one after the other. */
const LIMIT_MS = 180_000;

/** Rows of one effect: half an effect is one row without the other. */
const ROWS = 2;

/** @param file the library's file in `libraries`, without its ending. */
export function crashesOf(file: string, { database, committed }: Payments): void {
  // Five servers a library: a usual run kills those of plain pg, and the lane `deep` all of them.
  it.skipIf(file !== "pg" && !isDeep)(
    "a server killed around its commit leaves both writes or none, and the retry leaves both (test:deep; pg always)",
    async () => {
      const tested = await testCrashes({
        command: [process.execPath, "--conditions=@oncekey/source", SERVER, file],
        env: { DATABASE_URL: database.url },
        request: { path: "/payments", body: { amount: 5 } },
        countEffects: async () => (await committed()).length / ROWS,
        points: ["handled", "commit-sent"],
      });
      const points = ["none", "handled", "commit-sent"];
      expect(tested).toEqual(points.map((point) => ({ point, status: 201, effects: 1 })));
    },
    LIMIT_MS,
  );
}
