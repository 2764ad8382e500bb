/** Steps of a handler that are done once for a key, however often the handler is started. */
import type { StepMemory } from "../store/store.ts";

/** The type of a value after its way through JSON: a `Date` is a string, and methods are gone. */
export type AsJson<Value> = unknown extends Value
  ? Value
  : Value extends { toJSON(): infer Json }
    ? AsJson<Json>
    : Value extends string | number | boolean | null | undefined | void
      ? Value
      : Value extends bigint | symbol | ((...given: never[]) => unknown)
        ? never
        : { [Name in keyof Value]: AsJson<Value[Name]> };

/** Runs `fn` and remembers its result under `name`. A later attempt gets the result and does not call `fn`. */
export type Step = <Result>(
  name: string,
  fn: () => Promise<Result> | Result,
) => Promise<AsJson<Result>>;

/** The result of a step as it is remembered: its value, or why that could not be kept. */
type Remembered = { readonly result?: unknown } | { readonly unstorable: string };

// With the response and other columns well below what one row takes; a step remembers an id, not a document.
const MAX_RESULT_BYTES = 65_536;

export function createStep(memory: StepMemory | undefined): Step {
  const used = new Set<string>();
  /** Results whose write failed: the effect is there, and only the write is tried again. */
  const unwritten = new Map<string, string>();

  async function run(name: string, fn: () => unknown, steps: StepMemory): Promise<string> {
    const end = steps.begin();
    try {
      const json = unwritten.get(name) ?? encode(await fn());
      unwritten.set(name, json);
      await steps.write(name, json);
      unwritten.delete(name);
      return json;
    } finally {
      end();
    }
  }

  async function step(name: string, fn: () => unknown): Promise<unknown> {
    if (memory === undefined) {
      throw new Error(
        "request.idempotency.step is for strategy 'lease'; in the others the transaction undoes what a failed attempt did",
      );
    }
    if (typeof name !== "string" || name === "")
      throw new TypeError("a step needs a name, a string that is not empty");
    if (used.has(name))
      throw new Error(`step '${name}' was called twice in one run; each step needs its own name`);
    used.add(name);
    try {
      const known = unwritten.has(name) ? undefined : memory.read(name);
      return decode(name, known ?? (await run(name, fn, memory)));
    } catch (error) {
      // A step that failed may run again. A step that finished, but whose result cannot be stored,
      // would run twice.
      if (!(error instanceof StepResultError)) used.delete(name);
      throw error;
    }
  }

  return step as Step;
}

/** Thrown in each run for a step that was done, but whose result JSON or the record cannot hold. */
class StepResultError extends Error {
  override name = "StepResultError";
}

function encode(result: unknown): string {
  try {
    // Wrapped, so that `undefined` is remembered as well.
    const json = JSON.stringify({ result });
    if (Buffer.byteLength(json) <= MAX_RESULT_BYTES) return json;
    return JSON.stringify({ unstorable: `it is larger than ${MAX_RESULT_BYTES} bytes as JSON` });
  } catch (error) {
    // Its first line: V8 draws the circle below.
    const [reason = ""] = String(error).split("\n");
    return JSON.stringify({ unstorable: `it has no JSON: ${reason.slice(0, 200)}` });
  }
}

/** Decodes the JSON in the first run as well, so that both runs see one value. */
function decode(name: string, json: string): unknown {
  const remembered = JSON.parse(json) as Remembered;
  if (!("unstorable" in remembered)) return remembered.result;
  throw new StepResultError(
    `step '${name}' was done, but its result cannot be stored: ${remembered.unstorable}`,
  );
}
