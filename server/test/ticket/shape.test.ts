import { beforeEach, describe, expect, it, vi } from "vitest";
import { MAX_SHAPES } from "../../src/ticket/shape.ts";

// Shapes live as long as the process, which other test files share.
let knownShape: (typeof import("../../src/ticket/shape.ts"))["knownShape"];
beforeEach(async () => {
  vi.resetModules();
  ({ knownShape } = await import("../../src/ticket/shape.ts"));
});

/** Returns whether two objects with these names, one after the other, have one shape. */
function isKept(...names: readonly [string, ...string[]]): boolean {
  return knownShape(names[0], names) === knownShape(names[0], [...names]);
}

describe("a shape", () => {
  it("is kept for the next object with the same names, unless they are long: those are data of a caller", () => {
    expect(isKept("amount", "currency")).toBe(true);
    expect(isKept("x".repeat(1_020))).toBe(true);
    expect(isKept("x".repeat(1_021))).toBe(false);
  });

  it("is sorted, whatever the shape of another object with the same first name", () => {
    const order = (...names: readonly string[]): string => knownShape("b", names).names;
    expect([order("b", "a"), order("b", "c"), order("b", "a")]).toEqual([
      '["a","b"]',
      '["b","c"]',
      '["a","b"]',
    ]);
  });

  it("is suspect if a name is a method's of streams or promises", () => {
    const suspects = ["pipe", "then", "when"].map((name) => knownShape("x", ["x", name]).isSuspect);
    expect(suspects).toEqual([true, true, false]);
  });

  it("is not kept once there are 256 of them", () => {
    const kept = Array.from({ length: MAX_SHAPES + 1 }, (_, index) => isKept(`name ${index}`));
    expect(kept.at(0)).toBe(true);
    expect(kept.at(-1)).toBe(false);
  });
});
