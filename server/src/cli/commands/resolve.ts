/** `oncekey resolve`: stores an answer for a crashed or failed record. */
import { readFile } from "node:fs/promises";
import { InvalidArgumentError } from "@commander-js/extra-typings";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { isKeyed } from "../../store/record-codec.ts";
import { resolveRecord } from "../../store/maintenance/decisions.ts";
import { findRecords } from "../../store/maintenance/records.ts";
import { openStoreParts } from "../../store/store-parts.ts";
import type { StoredResponse } from "../../store/store.ts";
import { withPool } from "../io/database.ts";
import { EXIT, UsageError } from "../io/exit-code.ts";
import { printable, printJson, printLine, tell } from "../io/print.ts";
import { parseDuration } from "./list.ts";
import { decisionOptions, noRecord, recordCommand } from "./record-command.ts";

const DAY_MS = 86_400_000;

export function resolveCommand(): CommandUnknownOpts {
  return decisionOptions(recordCommand("resolve"))
    .description(
      "store an answer for a crashed or failed record: every retry gets it, and nothing runs",
    )
    .requiredOption("--status <status>", "the status of the answer, 200 to 499", parseStatus)
    .option("--body <text>", "the body of the answer; @file reads a file", "")
    .option("--content-type <type>", "the type of the body", "application/json; charset=utf-8")
    .option("--retention <duration>", "how long the answer is kept: 24h", parseDuration, DAY_MS)
    .option("--fence <duration>", "how long its key runs nothing: 30d", parseDuration, 30 * DAY_MS)
    .option("--json", "one object: { outcome }")
    .action((key, { json, by, reason, status, body, contentType, retention, fence, ...options }) =>
      withPool(options, async ({ pool, schema }) => {
        const { scope, target } = options;
        if (target === undefined)
          throw new UsageError("--target is required: one record is resolved");
        if (fence < retention) throw new UsageError("--fence must be at least --retention");
        const address = { key, scope, target };
        const [record] = await findRecords(pool, schema, address);
        const refuse = (outcome: string, message: string): void => {
          if (json) printJson({ outcome });
          tell(message);
          process.exitCode = EXIT.wrong;
        };
        if (record === undefined) return refuse("absent", noRecord(address));
        if (record.state !== "crashed" && record.state !== "failed")
          return refuse(record.state, `not resolved: it is ${record.state}, not crashed or failed`);
        if (isKeyed(Buffer.from(record.fingerprint, "hex")))
          throw new UsageError(
            "the record is encrypted: resolve it in the application, with app.idempotency.resolve",
          );
        const outcome = await resolveRecord(
          await openStoreParts(pool, schema),
          record,
          await toResponse(status, body, contentType),
          { retentionMs: retention, fenceMs: fence },
          { by, reason },
        );
        if (outcome !== "done") return refuse(outcome, `not resolved: it has ${WHY[outcome]}`);
        if (json) return printJson({ outcome: "resolved" });
        return printLine(`${printable(target)}: resolved with status ${status}`);
      }),
    );
}

const WHY = { held: "a handler at work on it", changed: "changed since it was looked at" };

async function toResponse(status: number, body: string, type: string): Promise<StoredResponse> {
  const bytes = body.startsWith("@") ? await readFile(body.slice(1)) : Buffer.from(body);
  return { status, headers: [["content-type", type]], body: bytes };
}

function parseStatus(value: string): number {
  const status = Number(value);
  if (Number.isInteger(status) && status >= 200 && status <= 499) return status;
  throw new InvalidArgumentError("It must be a whole number from 200 to 499");
}
