#!/usr/bin/env node
/** Entry of the `oncekey` command. */
import { run } from "./program.ts";

// The reader of the pipe may close it before everything is written.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

process.exitCode = await run(process.argv.slice(2));
