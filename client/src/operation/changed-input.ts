/** The development warning about an input that changed while its instance was unresolved. */
import type { OperationRecord } from "../records/record.ts";
import { isMembers } from "../validation/is-object.ts";
import type { PreparedRequest } from "../wire/request.ts";
import type { OperationRun } from "./operation-run.ts";

declare const process: { readonly env: { readonly NODE_ENV?: string } };

/**
 * Warns of the member that makes an input another operation. A token in the body should be left out of `identity`.
 *
 * @throws ReferenceError in a page without a bundler, which has no `process`.
 */
export function warnOfChange(
  { client, definition, instance }: OperationRun,
  { request: earlier }: OperationRecord,
  request: PreparedRequest,
): void {
  // Bundlers replace exactly this expression, and drop the rest of the module in production.
  if (process.env.NODE_ENV === "production") return;
  const member = earlier && changedMember(earlier, request);
  if (member === undefined) return;
  const message =
    `${definition.name} ${instance} is unresolved and its input changed: ${member} differs. ` +
    "If that does not make it another operation, leave it out of the option identity";
  client.loop.warn({ code: "input_changed", message });
}

function changedMember(earlier: PreparedRequest, request: PreparedRequest): string | undefined {
  if (earlier.method !== request.method) return "method";
  if (earlier.url !== request.url) return "path";
  if (typeof earlier.body !== "string" || typeof request.body !== "string") return undefined;
  try {
    return firstDifference("json", JSON.parse(earlier.body), JSON.parse(request.body));
  } catch {
    return "body";
  }
}

function firstDifference(path: string, a: unknown, b: unknown): string | undefined {
  if (!isMembers(a) || !isMembers(b) || Array.isArray(a) !== Array.isArray(b)) {
    return a === b ? undefined : path;
  }
  for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const found = firstDifference(`${path}.${name}`, a[name], b[name]);
    if (found !== undefined) return found;
  }
  return undefined;
}
