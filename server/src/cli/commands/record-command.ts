/** Shared by `inspect` and `forget`: the arguments that name records, and how a record is printed. */
import { Argument, InvalidArgumentError } from "@commander-js/extra-typings";
import type { Command } from "@commander-js/extra-typings";
import { parseKey } from "@oncekey/shared";
import type { RecordAddress, RecordState, TableRecord } from "../../store/maintenance/records.ts";
import { databaseCommand } from "../io/database.ts";
import { formatBytes, printable } from "../io/print.ts";

// A type and not an interface: commander wants options that could be read by any name.
type Options = {
  schema: string;
  databaseUrl?: string | undefined;
  scope: string;
  target?: string | undefined;
};

export function recordCommand(name: string): Command<[string], Options> {
  return databaseCommand(name)
    .addArgument(
      new Argument("<key>", "the Idempotency-Key; after -- where it begins with -").argParser(
        parseKeyArgument,
      ),
    )
    .requiredOption("--scope <scope>", "whose key it is: what the scope option returned")
    .option("--target <target>", "method and path, such as 'POST /payments'; default: all");
}

/** One sentence: what the state means for the next request with this key. */
export function explainState({ state, leaseUntil }: TableRecord): string {
  const meaning: Record<RecordState, string> = {
    finished: "finished; a retry is answered with the stored response",
    tombstone: "tombstone; a retry is answered with 410, and nothing runs",
    started: "started; its handler runs, or broke off and the next retry starts it again",
    leased: `leased; its handler has until ${leaseUntil} unless it renews the lease`,
    crashed: "crashed; its lease is over, and the route's onCrash decides at the next retry",
    expired: "expired; a retry runs again",
  };
  return meaning[state];
}

export function explainBody({ status, bodyBytes }: TableRecord): string {
  if (status === null) return "none yet";
  return bodyBytes === null ? "could not be kept" : formatBytes(bodyBytes);
}

/** One line, for a list of what is meant. */
export function summarise(record: TableRecord): string {
  const { state, status, createdAt, expiresAt } = record;
  const answer = status === null ? "no response" : `status ${status}, body ${explainBody(record)}`;
  return `${printable(record.target)}: ${state}, ${answer}, written ${createdAt}, expires ${expiresAt}`;
}

export function noRecord({ key, scope, target }: RecordAddress): string {
  const where = target === undefined ? "" : ` for target ${printable(target)}`;
  return `no record of key ${key} in scope ${printable(scope)}${where}`;
}

function parseKeyArgument(value: string): string {
  const parsed = parseKey(value);
  if (parsed.kind === "key") return parsed.key;
  throw new InvalidArgumentError(`The key ${parsed.reason}`);
}
