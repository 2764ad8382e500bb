/** The check of an answer by the schema of its operation (Standard Schema). */
import type { AnswerIssue } from "@oncekey/shared";

/** The part of a Standard Schema that the client uses: zod, valibot, arktype and others have it. */
export interface ResponseSchema<Value> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => Validated<Value> | Promise<Validated<Value>>;
    readonly types?: { readonly input: unknown; readonly output: Value } | undefined;
  };
}

type Validated<Value> =
  | { readonly value: Value; readonly issues?: undefined }
  | { readonly issues: readonly AnswerIssue[] };

/** Whether a value has the function of a Standard Schema. Schemas of arktype are functions. */
export function isSchema(value: unknown): boolean {
  const { "~standard": standard } = (value ?? {}) as Partial<ResponseSchema<unknown>>;
  return typeof standard?.validate === "function";
}

/** Returns the output of the schema, or its findings. A schema that throws has found its own error. */
export async function validate(
  schema: ResponseSchema<unknown>,
  value: unknown,
): Promise<Validated<unknown>> {
  try {
    return await schema["~standard"].validate(value);
  } catch (error) {
    return { issues: [{ message: String(error) }] };
  }
}
