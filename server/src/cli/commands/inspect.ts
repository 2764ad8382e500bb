/** `oncekey inspect`: prints the records of a key. */
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { isUtf8 } from "node:buffer";
import { SEALED } from "../../store/record-codec.ts";
import { findRecords } from "../../store/maintenance/records.ts";
import type { TableRecord } from "../../store/maintenance/table-record.ts";
import { deriveKey } from "../../ticket/derive-key.ts";
import { withPool } from "../io/database.ts";
import { EXIT } from "../io/exit-code.ts";
import { printable, printJson, printLine, tell } from "../io/print.ts";
import { explainBody, explainState, noRecord, recordCommand } from "./record-command.ts";

export function inspectCommand(): CommandUnknownOpts {
  return recordCommand("inspect")
    .description("show the records of a key; reads only")
    .option("--body", "the stored bodies too: they are your users' data")
    .option(
      "--derive-key <name>",
      "also the key that the handler got of deriveKey(name), to ask the other service by",
    )
    .option("--json", "a list of records")
    .action((key, { body, json, deriveKey: name, ...options }) =>
      withPool(options, async ({ pool, schema }) => {
        const address = { key, scope: options.scope, target: options.target };
        const records = await findRecords(pool, schema, address, body ? "bodies" : undefined);
        if (records.length === 0) {
          tell(noRecord(address));
          process.exitCode = EXIT.wrong;
        }
        const derived = (record: TableRecord): string | undefined =>
          name === undefined ? undefined : deriveKey(record, name);
        if (json)
          printJson(records.map((record) => ({ ...toJson(record), derivedKey: derived(record) })));
        else if (records.length > 0)
          printLine(
            records.map((record) => describe(record, body ?? false, derived(record))).join("\n\n"),
          );
      }),
    );
}

// The body is left out rather than null where it was not asked for: null would read as "none".
function toJson({ body, ...record }: TableRecord): object {
  return body === null ? record : { ...record, body: encode(body) };
}

function encode(body: Buffer): { readonly text: string } | { readonly base64: string } {
  return isUtf8(body) ? { text: body.toString() } : { base64: body.toString("base64") };
}

function describe(record: TableRecord, withBody: boolean, derivedKey: string | undefined): string {
  const { status, attempt, steps, createdAt, expiresAt, fenceUntil, fingerprint } = record;
  const lines: [name: string, value: string | undefined][] = [
    ["key", record.key],
    ["scope", printable(record.scope)],
    ["target", printable(record.target)],
    ["state", explainState(record)],
    ["status", status === null ? undefined : String(status)],
    ["headers", describeHeaders(record)],
    ["body", explainBody(record)],
    ["attempt", String(attempt)],
    ["steps", steps.length === 0 ? undefined : printable(steps.join(", "))],
    ["derived key", derivedKey],
    ["written", createdAt],
    ["expires", expiresAt],
    ["fenced", fenceUntil ?? undefined],
    ["fingerprint", fingerprint],
    ["", withBody ? describeContent(record) : undefined],
  ];
  return lines
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name.padEnd(13)}${value}`)
    .join("\n");
}

function describeHeaders({ headers }: TableRecord): string | undefined {
  const sealed = headers.find(([name]) => name === SEALED)?.[1];
  if (sealed !== undefined) return `encrypted, as the body is, with key ${sealed.split(".", 1)[0]}`;
  if (headers.length === 0) return undefined;
  return headers.map(([name, value]) => printable(`${name}: ${value}`)).join(`\n${" ".repeat(13)}`);
}

function describeContent({ body }: TableRecord): string | undefined {
  if (body === null) return undefined;
  const content = encode(body);
  return "text" in content ? printable(content.text, "lines") : `base64: ${content.base64}`;
}
