import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { createStep } from "../../src/context/steps.ts";
import type { Step } from "../../src/context/steps.ts";
import type { StepMemory } from "../../src/store/store.ts";

/** A memory of one record, for as many runs as are asked for. */
function createRecord(): { run: () => Step; failNext: () => void; begun: () => number } {
  const finished = new Map<string, string>();
  let begun = 0;
  let fails = false;
  const memory: StepMemory = {
    read: (name) => finished.get(name),
    begin() {
      begun += 1;
      return () => {};
    },
    async write(name, json) {
      const isFailing = fails;
      fails = false;
      if (isFailing) throw new Error("the store is away");
      finished.set(name, json);
    },
  };
  return {
    run: () => createStep(memory),
    failNext: () => {
      fails = true;
    },
    begun: () => begun,
  };
}

describe("step", () => {
  it.each<[string, unknown, unknown]>([
    ["a Date", new Date(0), "1970-01-01T00:00:00.000Z"],
    ["undefined", undefined, undefined],
    ["members that are undefined", { id: 1, note: undefined }, { id: 1 }],
    ["a class instance", Object.assign(new Error("x"), { code: 7 }), { code: 7 }],
    ["NaN", Number.NaN, null],
    ["bytes", Buffer.from("a"), { type: "Buffer", data: [97] }],
    ["null", null, null],
  ])(
    "returns the same JSON value in the first run and in the rerun: %s",
    async (_name, result, json) => {
      const record = createRecord();
      expect(await record.run()("a", () => result)).toEqual(json);
      const rerun = await record.run()("a", () => expect.fail("it ran again"));
      expect(rerun).toEqual(json);
      expect(record.begun()).toBe(1);
    },
  );

  it("has the type of the JSON value", async () => {
    const step = createRecord().run();
    const charge = await step("a", async () => ({ id: 1, at: new Date(0), send: () => 1 }));
    const at: string = charge.at;
    const nothing: void = await step("b", async () => {});
    const anything: unknown = await step("c", (): unknown => 1);
    expect([charge.id, at, nothing, anything]).toEqual([
      1,
      "1970-01-01T00:00:00.000Z",
      undefined,
      1,
    ]);
  });

  it("may be called again if fn failed", async () => {
    const step = createRecord().run();
    let calls = 0;
    const charge = () => {
      calls += 1;
      if (calls < 3) throw new Error("timeout");
      return calls;
    };
    await expect(step("charge", charge)).rejects.toThrow("timeout");
    await expect(step("charge", charge)).rejects.toThrow("timeout");
    expect(await step("charge", charge)).toBe(3);
  });

  it("throws for a name that was used in this run, and names it", async () => {
    const record = createRecord();
    const step = record.run();
    const twice = "step 'charge' was called twice in one run; each step needs its own name";
    const slow = step("charge", () => sleep(5, 1));
    await expect(step("charge", () => 2)).rejects.toThrow(twice);
    expect(await slow).toBe(1);
    await expect(step("charge", () => 3)).rejects.toThrow(twice);
    const rerun = record.run();
    expect(await rerun("charge", () => 4)).toBe(1);
    await expect(rerun("charge", () => 5)).rejects.toThrow(twice);
  });

  it.each<[string, unknown, string]>([
    ["a circle", circle(), "it has no JSON: TypeError: Converting circular structure to JSON"],
    ["a BigInt", { id: 1n }, "it has no JSON: TypeError"],
    ["a toJSON that throws", { toJSON: fail }, "it has no JSON: Error: no"],
    ["over 64 KiB", "x".repeat(70_000), "it is larger than 65536 bytes as JSON"],
    ["over 64 KiB in letters of three bytes", "漢".repeat(30_000), "it is larger than 65536 bytes"],
  ])(
    "remembers as done what cannot be stored, and throws then and in each rerun: %s",
    async (_name, result, why) => {
      const record = createRecord();
      const message = `step 'charge' was done, but its result cannot be stored: ${why}`;
      let calls = 0;
      const charge = () => {
        calls += 1;
        return result;
      };
      const step = record.run();
      await expect(step("charge", charge)).rejects.toThrow(message);
      await expect(step("charge", charge)).rejects.toThrow("called twice");
      await expect(record.run()("charge", charge)).rejects.toThrow(message);
      expect(calls).toBe(1);
    },
  );

  it("repeats only the write if the store failed after fn", async () => {
    const record = createRecord();
    const step = record.run();
    let calls = 0;
    record.failNext();
    await expect(step("charge", () => (calls += 1))).rejects.toThrow("the store is away");
    expect(await step("charge", () => (calls += 1))).toBe(1);
    expect(await record.run()("charge", () => (calls += 1))).toBe(1);
    expect(calls).toBe(1);
  });

  it.each<unknown>(["", 1, undefined])("needs a name: %o", async (name) => {
    await expect(createRecord().run()(name as string, () => 1)).rejects.toThrow("needs a name");
  });

  it("throws that it is for strategy lease", async () => {
    await expect(createStep(undefined)("a", () => 1)).rejects.toThrow("strategy 'lease'");
  });
});

function circle(): unknown {
  const value: Record<string, unknown> = {};
  value["self"] = value;
  return value;
}

function fail(): never {
  throw new Error("no");
}
