/** Shared by `inspect` and `forget`: the arguments that name records, and how a record is printed. */
import { userInfo } from "node:os";
import { InvalidArgumentError } from "@commander-js/extra-typings";
import type { Command } from "@commander-js/extra-typings";
import { parseKey } from "@oncekey/shared";
import type { RecordState } from "../../store/maintenance/record-state.ts";
import type { RecordAddress, TableRecord } from "../../store/maintenance/table-record.ts";
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
    .argument("<key>", KEY, parseKeyArgument)
    .requiredOption("--scope <scope>", "whose key it is: what the scope option returned")
    .option("--target <target>", "method and path, such as 'POST /payments'; default: all");
}

/** Adds the options that go into the audit. */
export function decisionOptions<Args extends unknown[], Opts extends Record<string, unknown>>(
  command: Command<Args, Opts>,
): Command<Args, Opts & { by: string; reason: string }> {
  return command
    .requiredOption(
      "--reason <text>",
      "why, for the audit: such as the number of a ticket",
      parseReason,
    )
    .option(
      "--by <name>",
      "who decides, for the audit",
      parseBy,
      userInfo().username,
    ) as unknown as Command<Args, Opts & { by: string; reason: string }>;
}

export function parseReason(value: string): string {
  return parseText(value, 1_000);
}

export function parseBy(value: string): string {
  return parseText(value, 200);
}

function parseText(value: string, max: number): string {
  if (value.trim() !== "" && value.length <= max) return value;
  throw new InvalidArgumentError(`It must be 1 to ${max} characters`);
}

/** One sentence: what the state means for the next request with this key. */
export function explainState({ state, leaseUntil }: TableRecord): string {
  const meaning: Record<RecordState, string> = {
    finished: "finished; a retry is answered with the stored response",
    tombstone: "tombstone; a retry is answered with 410, and nothing runs",
    running:
      leaseUntil === null
        ? "running; or its handler broke off and the next retry starts it again"
        : `running; its handler has until ${leaseUntil} unless it renews the lease`,
    crashed: "crashed; its lease is over, and the route's onCrash decides: see resolve and forget",
    failed: "failed; it ended without an answer: see resolve and forget",
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

export const KEY: string = "the Idempotency-Key; after -- where it begins with -";

export function parseKeyArgument(value: string): string {
  const parsed = parseKey(value);
  if (parsed.kind === "key") return parsed.key;
  throw new InvalidArgumentError(`The key ${parsed.reason}`);
}
