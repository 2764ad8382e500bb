/** Whether two inputs are certain to make the same request. */
import { isMembers } from "./is-object.ts";

/** Ends the comparison of cyclic inputs. */
const DEPTH = 50;

/** Compares plain objects and arrays by their members, and everything else with `Object.is`. */
export function isSameInput(one: unknown, other: unknown, depth: number = DEPTH): boolean {
  if (Object.is(one, other)) return true;
  if (
    depth === 0 ||
    !isPlain(one) ||
    !isPlain(other) ||
    Array.isArray(one) !== Array.isArray(other)
  )
    return false;
  const names = Object.keys(one);
  return (
    names.length === Object.keys(other).length &&
    names.every(
      (name) => Object.hasOwn(other, name) && isSameInput(one[name], other[name], depth - 1),
    )
  );
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (!isMembers(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Array.isArray(value);
}
