/** `oncekey resolve`: stores an answer for a crashed or failed record. */
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { isKeyed } from "../../store/record-codec.ts";
import { resolveRecord } from "../../store/maintenance/decisions.ts";
import { findRecords } from "../../store/maintenance/records.ts";
import { openStoreParts } from "../../store/store-parts.ts";
import { withPool } from "../io/database.ts";
import { EXIT, UsageError } from "../io/exit-code.ts";
import { printable, printJson, printLine, tell } from "../io/print.ts";
import { answerOptions, parseStatus, STATUS, toAnswer } from "./answer.ts";
import { decisionOptions, noRecord, recordCommand } from "./record-command.ts";

export function resolveCommand(): CommandUnknownOpts {
  return answerOptions(decisionOptions(recordCommand("resolve")))
    .description(
      "store an answer for a crashed or failed record: every retry gets it, and nothing runs",
    )
    .requiredOption("--status <status>", STATUS, parseStatus)
    .option("--json", "one object: { outcome }")
    .action((key, { json, by, reason, status, ...options }) =>
      withPool(options, async ({ pool, schema }) => {
        const { scope, target } = options;
        if (target === undefined)
          throw new UsageError("--target is required: one record is resolved");
        const { response, retention } = await toAnswer(status, options);
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
          response,
          retention,
          { by, reason },
        );
        if (outcome !== "done") return refuse(outcome, `not resolved: it has ${WHY[outcome]}`);
        if (json) return printJson({ outcome: "resolved" });
        return printLine(`${printable(target)}: resolved with status ${status}`);
      }),
    );
}

const WHY = { held: "a handler at work on it", changed: "changed since it was looked at" };
