/** Checks of options. Their errors name the option, the allowed values and the given one. */

import { isMembers } from "./is-object.ts";

export type Check = (name: string, value: unknown) => void;

/** @throws TypeError or RangeError, also for an option that is not in `checks`. */
export function checkOptions(
  options: object,
  checks: Readonly<Record<string, Check>>,
  where: string,
): void {
  isObject(where.slice(0, -1) || "options", options);
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (check === undefined) {
      throw new TypeError(
        `unknown option ${where}${name}; allowed are ${Object.keys(checks).join(", ")}`,
      );
    }
    if (value !== undefined) check(`${where}${name}`, value);
  }
}

/** @param refuse the class of the error. */
export function accept(
  accepts: (value: unknown) => boolean,
  allowed: string,
  refuse: new (message: string) => Error = TypeError,
): Check {
  return (name, value) => {
    if (!accepts(value)) throw new refuse(`${name} must be ${allowed}, got ${show(value)}`);
  };
}

const isObject: Check = /* @__PURE__ */ accept(isMembers, "an object");

export const isFunction: Check = /* @__PURE__ */ accept(
  (value) => typeof value === "function",
  "a function",
);

export const isFilled: Check = /* @__PURE__ */ accept(
  (value) => typeof value === "string" && value !== "",
  "a string that is not empty",
);

export function oneOf(...allowed: string[]): Check {
  const list = allowed.map((value) => `'${value}'`).join(" or ");
  return accept((value) => typeof value === "string" && allowed.includes(value), list);
}

export function integer(min: number, max: number): Check {
  const isInRange = (value: unknown): boolean =>
    typeof value === "number" && Number.isInteger(value) && value >= min && value <= max;
  return accept(isInRange, `a whole number from ${min} to ${max}`, RangeError);
}

/** A value, as it is written in code. */
export function show(value: unknown): string {
  if (typeof value === "function") return "a function";
  // JSON has no NaN, and no bigint at all.
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return "an object";
  }
}
