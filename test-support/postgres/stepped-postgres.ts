/** A Postgres whose clock a test can step, by Debian's libfaketime. The clock of the test itself goes on. */
import { existsSync } from "node:fs";
import { chmod, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startPostgres } from "./postgres.ts";
import type { Postgres } from "./postgres.ts";
import { makeFolder } from "./binaries.ts";

export interface SteppedPostgres extends Postgres {
  /** Sets the clock of every session to this many hours from its start value. */
  readonly stepTo: (hours: number) => Promise<void>;
}

const LIBRARY = ["x86_64", "aarch64"]
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((path) => existsSync(path));

/** Whether this machine has the library. */
export const hasSteppedClock: boolean = LIBRARY !== undefined;

// Timers of Postgres use the machine's clock, not the library's. If the library's were ahead, no
// lock timeout would expire.
const BEHIND_HOURS = 48;

export async function startSteppedPostgres(): Promise<SteppedPostgres> {
  const folder = await makeFolder("oncekey-clock-");
  await chmod(folder, 0o755);
  const clock = join(folder, "clock");
  const stepTo = async (hours: number): Promise<void> => {
    await writeFile(`${clock}.new`, `-${BEHIND_HOURS - hours}h\n`);
    // Replaced atomically, because the library reads it all the time.
    await rename(`${clock}.new`, clock);
  };
  await stepTo(0);
  const environment = {
    LD_PRELOAD: LIBRARY ?? "",
    FAKETIME_TIMESTAMP_FILE: clock,
    FAKETIME_NO_CACHE: "1",
    DONT_FAKE_MONOTONIC: "1",
  };
  const postgres = await startPostgres({ fsync: false, environment });
  return {
    ...postgres,
    stepTo,
    async stop() {
      await postgres.stop();
      await rm(folder, { recursive: true });
    },
  };
}
