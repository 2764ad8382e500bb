/** Checks the value of a done operation by its schema. */
import { UnexpectedAnswerError } from "@oncekey/shared";
import type { AnswerIssue } from "@oncekey/shared";
import { isAcknowledged } from "../retry/classify.ts";
import type { LoopResult } from "../retry/loop-result.ts";
import { validate } from "../validation/schema.ts";
import type { ResponseSchema } from "../validation/schema.ts";

/**
 * Replaces the value of a done operation by the output of the schema. If the value does not match, the echo decides: a server that
 * echoed the key has done the operation. Without the echo the answer may come from a proxy, and the outcome is unknown.
 */
export async function checkValue(
  found: LoopResult,
  key: string,
  schema: ResponseSchema<unknown> | undefined,
): Promise<LoopResult> {
  if (schema === undefined || found.kind !== "done") return found;
  const { value: problem, status, stored, told } = found;
  const { answer } = told;
  const checked = await validate(schema, problem);
  if (checked.issues === undefined) return { ...found, value: checked.value };
  const { issues } = checked;
  const why =
    stored === false
      ? "The server has no longer stored the answer"
      : `The answer does not match the schema: ${issues.map(describe).join("; ")}`;
  const error = new UnexpectedAnswerError(why, { key, status, problem, issues });
  // An answer that is no longer stored comes with a code of the contract.
  const isOurs = stored === false || (answer !== undefined && isAcknowledged(answer, key));
  return isOurs
    ? { ...found, value: undefined, valueError: error }
    : { kind: "unknown", error, told };
}

function describe({ message, path = [] }: AnswerIssue): string {
  const names = path.map((part) => String(typeof part === "object" ? part.key : part));
  return names.length === 0 ? message : `${names.join(".")}: ${message}`;
}
