/** A value that is there already, or will be: what is there costs no turn of the event loop. */
export type MaybePromise<Value> = Value | Promise<Value>;

/** Calls `use` with the value, at once if it is there. */
export function chain<Value, Result>(
  value: MaybePromise<Value>,
  use: (value: Value) => MaybePromise<Result>,
): MaybePromise<Result> {
  return value instanceof Promise ? value.then(use) : use(value);
}
