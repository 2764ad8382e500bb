import { describe, expect, it } from "vitest";
import { testCrashes } from "@oncekey/server/testing";
import type { CrashTestOptions } from "@oncekey/server/testing";

const right: CrashTestOptions = {
  command: [process.execPath, "--eval", "process.exit(3)"],
  request: { path: "/orders" },
  countEffects: async () => 0,
};

describe("an option of a crash test", () => {
  it.each([
    ["command", { command: [] }, TypeError, "a list of the program and its arguments"],
    ["env", { env: { PORT: 1 } }, TypeError, "an object of strings"],
    ["request", { request: { path: "orders" } }, TypeError, "a path that begins with a slash"],
    ["countEffects", { countEffects: "1" }, TypeError, "a function, or an object of functions"],
    ["countEffects", { countEffects: {} }, TypeError, "a function, or an object of functions"],
    ["pool", { pool: "postgres://" }, TypeError, "a pg.Pool"],
    ["ignore", { ignore: "sessions" }, TypeError, "a list of table or column names"],
    ["points", { points: ["later"] }, TypeError, "claimed, handled, commit-sent"],
    ["patienceMs", { patienceMs: 10 }, RangeError, "from 1000 to 600000"],
    ["patience", { patience: 10 }, TypeError, "unknown option patience; allowed are command"],
    ["command", { command: undefined }, TypeError, "option command is required"],
    ["pool", { countEffects: undefined }, TypeError, "option pool or countEffects is required"],
  ])("is refused by its name where it is wrong: %s", async (name, wrong, kind, allowed) => {
    const refused = testCrashes({ ...right, ...wrong } as CrashTestOptions);
    await expect(refused).rejects.toThrow(kind);
    await expect(refused).rejects.toThrow(name);
    await expect(refused).rejects.toThrow(allowed);
  });
});

describe("a server under test", () => {
  it("that ends before it listens fails the test with its exit code", async () => {
    await expect(testCrashes(right)).rejects.toThrow(/did not come up on port \d+: 3/);
  });

  it("that cannot be started fails the test", async () => {
    const command = ["no-such-program-of-ours"] as const;
    await expect(testCrashes({ ...right, command })).rejects.toThrow(/did not come up .* ENOENT/);
  });
});
