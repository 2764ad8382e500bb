/** `oncekey ui`: serves the operator's page on this machine, until it is interrupted. */
import { InvalidArgumentError } from "@commander-js/extra-typings";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { readSweepLag } from "../../store/maintenance/records.ts";
import { UsageError } from "../io/exit-code.ts";
import { databaseCommand, withPool } from "../io/database.ts";
import { printLine, tell } from "../io/print.ts";

const DEFAULT_PORT = 4141;

export function uiCommand(): CommandUnknownOpts {
  return databaseCommand("ui")
    .description("serve the operator's page on 127.0.0.1, until Ctrl+C")
    .option("--port <port>", "the port; 0: any that is free", parsePort, DEFAULT_PORT)
    .action(({ port, ...options }) =>
      withPool(options, async ({ pool, schema }) => {
        // Fails now if there are no tables, and not in the browser.
        await readSweepLag(pool, schema);
        // Fastify is loaded for this command alone.
        const { serveLaptop } = await import("../../operator/laptop.ts");
        const served = await serveLaptop(pool, schema, port).catch(refusePort);
        printLine(served.url);
        tell("the page is open to this address alone; Ctrl+C ends it");
        await interrupted();
        await served.close();
      }),
    );
}

function refusePort(error: unknown): never {
  const { code, port } = error as { readonly code?: string; readonly port?: number };
  if (code === "EADDRINUSE" || code === "EACCES")
    throw new UsageError(`port ${port} cannot be used (${code}); choose another with --port`);
  throw error;
}

function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
}

function parsePort(value: string): number {
  const port = Number(value);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new InvalidArgumentError("It must be a whole number from 0 to 65535");
}
