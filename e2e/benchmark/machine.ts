/** The machine of a measurement. */
import { availableParallelism, cpus, totalmem } from "node:os";
import type { Lab } from "./lab.ts";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly postgres: string;
}

const GIB = 1_073_741_824;

export async function describeMachine({ admin }: Lab): Promise<Machine> {
  const { rows } = await admin.query<{ server_version: string }>("show server_version");
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / GIB),
    postgres: rows[0]?.server_version ?? "unknown",
  };
}
