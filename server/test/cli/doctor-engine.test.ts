import { describe, expect, it } from "vitest";
import { judgeEngine } from "../../src/store/postgres/dialect.ts";
import type { EngineFacts } from "../../src/store/postgres/dialect.ts";

function postgres(version: string, number: number, citus: string | null = null): EngineFacts {
  return { version: `PostgreSQL ${version} on x86_64-pc-linux-gnu`, number, citus };
}

describe("what follows from the engine", () => {
  it("accepts PostgreSQL 14 to 18, refuses older ones and warns of newer ones", () => {
    const verdicts = [130_022, 140_000, 180_004, 190_000].map(
      (number) => judgeEngine(postgres(String(number / 10_000), number)).verdict,
    );
    expect(verdicts).toEqual(["fail", "ok", "ok", "warn"]);
  });

  it("advises Citus users to distribute the records by scope, and names the consequences", () => {
    const citus = postgres("17.5", 170_005, "13.2-1");
    expect(judgeEngine({ ...citus, isDistributed: false })).toMatchObject({
      verdict: "warn",
      advice: expect.stringContaining("oncekey sql --distributed"),
    });
    expect(judgeEngine({ ...citus, isDistributed: true })).toMatchObject({
      verdict: "ok",
      found: expect.stringContaining("one commit on one node where the handler's tables"),
    });
  });

  it("advises strategy unique on engines that only use Postgres' protocol", () => {
    const versions = [
      "CockroachDB CCL v25.2.1 (x86_64-pc-linux-gnu, built 2025/06/02)",
      "PostgreSQL 15.12-YB-2025.1.0.0-b0 on x86_64-pc-linux-gnu, compiled by clang",
      "Materialize v0.140.0 (0123abcd)",
    ];
    for (const version of versions) {
      const finding = judgeEngine({ version, number: 150_000, citus: null });
      expect(finding).toMatchObject({
        verdict: "warn",
        advice: expect.stringContaining("strategy 'unique'"),
      });
    }
  });
});
