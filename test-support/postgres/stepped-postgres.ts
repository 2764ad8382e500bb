/** A Postgres whose clock a test can step, by Debian's libfaketime. The clock of the test itself goes on. */
import { existsSync } from "node:fs";
import { chmod, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startPostgres } from "./postgres.ts";
import type { Postgres } from "./postgres.ts";
import { makeFolder } from "./binaries.ts";

export interface SteppedPostgres extends Postgres {
  /** From here on the clock of every session is so many hours away from where it began. */
  readonly stepTo: (hours: number) => Promise<void>;
}

const LIBRARY = ["x86_64", "aarch64"]
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((path) => existsSync(path));

/** Whether this machine has the library. */
export const hasSteppedClock: boolean = LIBRARY !== undefined;

// What interrupts a wait of Postgres sees the machine's clock, and not the library's. Were that one ahead, no lock timeout would be over.
const BEHIND_HOURS = 48;

export async function startSteppedPostgres(): Promise<SteppedPostgres> {
  const folder = await makeFolder("oncekey-clock-");
  await chmod(folder, 0o755);
  const clock = join(folder, "clock");
  const stepTo = async (hours: number): Promise<void> => {
    await writeFile(`${clock}.new`, `-${BEHIND_HOURS - hours}h\n`);
    // At once, for somebody reads it all the time.
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
