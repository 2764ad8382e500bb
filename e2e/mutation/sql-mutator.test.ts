import { describe, expect, it } from "vitest";
import { mutateSql } from "./sql-mutator.ts";

/** Returns the mutated statements of one kind, from a source that holds the statement alone. */
function mutate(kind: string, statement: string): string[] {
  const before = "const text = `";
  const after = "`;\n";
  return mutateSql(before + statement + after)
    .filter(({ mutator }) => mutator === kind)
    .map(({ source }) => source.slice(before.length, -after.length));
}

describe("a dropped condition", () => {
  it("removes each operand of AND once", () => {
    const text = "delete from records where key = $1::text and (a or b) and status is null";
    expect(mutate("SqlCondition", text).toSorted()).toEqual([
      "delete from records where (a or b) and status is null",
      "delete from records where key = $1::text and (a or b)",
      "delete from records where key = $1::text and status is null",
    ]);
  });

  it("turns the only condition of WHERE into true", () => {
    const text = "update records set status = null where owner = $1::uuid returning status";
    expect(mutate("SqlCondition", text)).toEqual([
      "update records set status = null where true returning status",
    ]);
  });

  it("removes operands of a text that only holds conditions", () => {
    expect(mutate("SqlCondition", "key = $1::text and scope = $2::text").toSorted()).toEqual([
      "key = $1::text",
      "scope = $2::text",
    ]);
  });

  it("treats an inserted expression as one operand", () => {
    const text = "select 1 from records where ${one} and ${two} for update";
    expect(mutate("SqlCondition", text).toSorted()).toEqual([
      "select 1 from records where ${one} for update",
      "select 1 from records where ${two} for update",
    ]);
  });
});

describe("a flipped comparison", () => {
  it("negates each comparison and each test for null", () => {
    const text = "select 1 from records where a <= b and c is not null";
    expect(mutate("SqlComparison", text).toSorted()).toEqual([
      "select 1 from records where a <= b and c is null",
      "select 1 from records where a > b and c is not null",
    ]);
  });

  it("leaves assignments, casts and JSON operators alone", () => {
    const text = "update records set a = $1::text, b = c ->> 'd' where key = $2::int";
    expect(mutate("SqlComparison", text)).toEqual([
      "update records set a = $1::text, b = c ->> 'd' where key <> $2::int",
    ]);
  });
});

it("parameters of one type are swapped wherever they stand in the statement", () => {
  const text = "select $1::text, $2::int, $3::text from records where key = $1::text";
  expect(mutate("SqlParameters", text)).toEqual([
    "select $3::text, $2::int, $1::text from records where key = $3::text",
  ]);
});

it("strings without SQL have no mutants, and a mutant has the line of its place", () => {
  const source = [
    'throw new Error("select one of a and b");',
    "const text = `select 1",
    "  from records where a > 1`;",
  ].join("\n");
  expect(mutateSql(source).map(({ line, mutator }) => [line, mutator])).toEqual([
    [3, "SqlCondition"],
    [3, "SqlComparison"],
  ]);
});
