/** Steps of a handler that are done once for a key, however often the handler is started. */
import type { StepMemory } from "../store/store.ts";

/** Runs `fn` and remembers its result under `name`; a later attempt gets the result and does not run it. */
export type Step = <Result>(name: string, fn: () => Promise<Result> | Result) => Promise<Result>;

// With the response and other columns well below what one row takes; a step remembers an id, not a document.
const MAX_RESULT_BYTES = 65_536;

export function createStep(memory: StepMemory | undefined): Step {
  const running = new Map<string, Promise<unknown>>();
  return <Result>(name: string, fn: () => Promise<Result> | Result): Promise<Result> => {
    const current = running.get(name) ?? runOnce(memory, name, fn);
    running.set(name, current);
    return current as Promise<Result>;
  };
}

async function runOnce(
  memory: StepMemory | undefined,
  name: string,
  fn: () => unknown,
): Promise<unknown> {
  if (memory === undefined) {
    throw new Error(
      "request.idempotency.step is for strategy 'lease'; in the others the transaction undoes what a failed attempt did",
    );
  }
  const finished = memory.read(name);
  if (finished !== undefined) return (JSON.parse(finished) as { result?: unknown }).result;
  const result = await fn();
  // Wrapped, so that `undefined` is remembered as well.
  const json = JSON.stringify({ result });
  if (Buffer.byteLength(json) > MAX_RESULT_BYTES) {
    throw new RangeError(
      `the result of step ${name} is larger than ${MAX_RESULT_BYTES} bytes as JSON`,
    );
  }
  await memory.write(name, json);
  return result;
}
