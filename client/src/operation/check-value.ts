/** Checks the value of a done operation by its schema. */
import { UnexpectedAnswerError } from "@oncekey/shared";
import type { AnswerIssue } from "@oncekey/shared";
import { isAcknowledged } from "../retry/classify.ts";
import type { LoopResult } from "../retry/loop-result.ts";
import { validate } from "../validation/schema.ts";
import type { ResponseSchema } from "../validation/schema.ts";

/**
 * Replaces the value of a done settlement by the output of the schema. If the value does not match, the echo decides: a server that
 * echoed the key has done the operation. Without the echo the answer may come from a proxy, and the outcome is unknown.
 */
export async function checkValue(
  settlement: LoopResult,
  key: string,
  schema: ResponseSchema<unknown> | undefined,
): Promise<LoopResult> {
  const { ending, answer } = settlement;
  if (schema === undefined || ending.kind !== "done") return settlement;
  const checked = await validate(schema, ending.value);
  if (checked.issues === undefined) {
    return { ...settlement, ending: { ...ending, value: checked.value } };
  }
  const { value: problem, status } = ending;
  const { issues } = checked;
  const message = `The answer does not match the schema: ${issues.map(describe).join("; ")}`;
  const error = new UnexpectedAnswerError(message, { key, status, problem, issues });
  const isOurs = answer !== undefined && isAcknowledged(answer, key);
  return {
    ...settlement,
    ending: isOurs
      ? { ...ending, value: undefined, valueError: error }
      : { kind: "unknown", error },
  };
}

function describe({ message, path = [] }: AnswerIssue): string {
  const names = path.map((part) => String(typeof part === "object" ? part.key : part));
  return names.length === 0 ? message : `${names.join(".")}: ${message}`;
}
