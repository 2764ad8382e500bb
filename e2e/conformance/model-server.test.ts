import type { Fault } from "@oncekey/client/testing";
import type { RouteIdempotencyOptions } from "@oncekey/server";
import { Pool } from "pg";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { PATHS, withModel, withServer } from "./api.ts";
import type { Api, Call, Seen } from "./api.ts";

const database = withDatabase();
let pool: Pool;
beforeAll(() => {
  pool = database.pool();
});
beforeEach(() => pool.query("truncate oncekey.records"));

type Shared = Pick<
  RouteIdempotencyOptions,
  "required" | "mismatch" | "inFlight" | "waitMs" | "retentionMs" | "fenceMs"
>;

const json = (value: unknown): string => JSON.stringify(value);
const only = { "idempotency-only-if-stored": "true" };
const all = (calls: readonly Call[]) => (api: Api) =>
  calls.reduce<Promise<Seen[]>>(
    async (seen, call) => [...(await seen), await api.call(call)],
    Promise.resolve([]),
  );

/** Requests in order, and what came of each. */
const SCRIPTS: Readonly<Record<string, (api: Api, options: Shared) => Promise<unknown>>> = {
  "the same request twice on every route": all(
    PATHS.filter((path) => path !== "/held").flatMap((path) => [
      { path, key: "twice", body: json({ a: 1 }) },
      { path, key: "twice", body: json({ a: 1 }) },
    ]),
  ),
  "the same key with other content": all([
    { path: "/orders", key: "other", body: json({ a: 1 }) },
    { path: "/orders", key: "other", body: json({ a: 2 }) },
    { path: "/orders?coupon=1", key: "other", body: json({ a: 1 }) },
    { path: "/orders", key: "other" },
    { path: "/orders", key: "other", method: "PATCH", body: json({ a: 1 }) },
    { path: "/empty", key: "other", body: json({ a: 1 }) },
  ]),
  "the same content, written in another way": all([
    { path: "/orders?a=1&b=2", key: "same", body: json({ a: 1, b: [2] }) },
    { path: "/orders?b=2&a=1", key: "same", body: '{ "b": [2.0],\n"a": 1 }' },
    {
      path: "/orders?a=1&b=2",
      key: '"same"',
      body: json({ a: 1, b: [2] }),
      headers: { "content-type": "Application/JSON; charset=utf-8" },
    },
  ]),
  "keys that are none": all([
    { path: "/orders" },
    { path: "/orders", key: "" },
    { path: "/orders", key: '"half' },
    { path: "/orders", key: "a b" },
    { path: "/orders", key: "x".repeat(256) },
    { path: "/orders", key: "x".repeat(255) },
    { path: "/orders", headers: only },
  ]),
  "a question for what is stored": all([
    { path: "/orders", key: "asked", headers: only },
    { path: "/orders", key: "asked" },
    { path: "/orders", key: "asked", headers: only },
    { path: "/orders", key: "asked", headers: { "idempotency-only-if-stored": "false" } },
    { path: "/orders", key: "asked", headers: only, body: json({}) },
    { path: "/declined", key: "asked", headers: { "idempotency-only-if-stored": "1" } },
  ]),
  "a duplicate while the first runs": async (api, { inFlight, waitMs }) => {
    const first = api.call({ path: "/held", key: "held", body: json({ a: 1 }) });
    await api.gate.isHeld;
    const asked = await api.call({
      path: "/held",
      key: "held",
      body: json({ a: 1 }),
      headers: only,
    });
    const duplicate = api.call({ path: "/held", key: "held", body: json({ a: 1 }) });
    const other = api.call({ path: "/held", key: "held", body: json({ a: 2 }) });
    if (inFlight === "reject" || waitMs !== undefined) await Promise.all([duplicate, other]);
    api.gate.open();
    return { asked, all: await Promise.all([first, duplicate, other]) };
  },
};

const OPTIONS: readonly Shared[] = [
  {},
  { mismatch: "reject" },
  { inFlight: "reject" },
  { inFlight: "reject", mismatch: "reject" },
  { waitMs: 20 },
  { required: false },
  { retentionMs: 3_600_000 },
  { retentionMs: 3_600_000, fenceMs: 7_200_000 },
];

describe.each(OPTIONS)("with %j, the model answers as the server does", (options) => {
  it.each(Object.entries(SCRIPTS))("to %s", async (_name, script) => {
    const run = async (api: Api) => ({ seen: await script(api, options), ran: api.ran() });
    const real = await withServer(pool, options, run);
    const model = await withModel(options, run);
    expect(model).toEqual(real);
  });
});

const call: Call = { path: "/orders", key: "fault", body: json({ a: 1 }) };
const held: Call = { ...call, path: "/held" };
const OLD_KEY = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";

interface Case {
  readonly fault: Fault;
  readonly options: RouteIdempotencyOptions;
  readonly asked: Call;
  /** The earlier copy, which the server has seen before. */
  readonly before?: Call;
}

const CASES: readonly Case[] = [
  { fault: "replay", options: {}, asked: call, before: call },
  { fault: "mismatch", options: {}, asked: call, before: { ...call, body: json({ a: 2 }) } },
  {
    fault: "mismatch",
    options: { mismatch: "reject" },
    asked: call,
    before: { ...call, body: json({ a: 2 }) },
  },
  {
    fault: "response-not-stored",
    options: { maxResponseBytes: 1 },
    asked: call,
    before: call,
  },
  { fault: "expired", options: { maxKeyAgeMs: 1_000 }, asked: { ...call, key: OLD_KEY } },
];

describe("a fault of the model gets the answer of the server", () => {
  const underFault = (fault: Fault, asked: Call, options: Shared = {}): Promise<Seen> =>
    withModel(options, async (api, { script }) => {
      api.gate.open();
      script(fault);
      return api.call(asked);
    });

  it.each(CASES)("$fault $options", async ({ fault, options, asked, before }) => {
    const real = await withServer(pool, options, async (api) => {
      if (before !== undefined) await api.call(before);
      return api.call(asked);
    });
    const { mismatch = "replay" } = options;
    expect(await underFault(fault, asked, { mismatch })).toEqual(real);
  });

  it.each(["replay", "reject"] as const)(
    "response-not-stored, to a request with other content, under mismatch '%s'",
    async (mismatch) => {
      const other = { ...call, body: json({ a: 2 }) };
      const real = await withServer(pool, { mismatch, maxResponseBytes: 1 }, async (api) => {
        await api.call(call);
        return api.call(other);
      });
      const model = await withModel({ mismatch }, async (api, { script }) => {
        script("response-not-stored");
        await api.call(call);
        return api.call(other);
      });
      expect(model).toEqual(real);
    },
  );

  it("in-flight", async () => {
    const real = await withServer(pool, { inFlight: "reject" }, async (api) => {
      const first = api.call(held);
      await api.gate.isHeld;
      const seen = await api.call(held);
      api.gate.open();
      await first;
      return seen;
    });
    expect(await underFault("in-flight", held)).toEqual(real);
  });

  it("outcome-unknown", async () => {
    const lease = { strategy: "lease", lease: { onCrash: "fail" } } as const;
    const real = await withServer(pool, lease, async (crashed) => {
      const first = crashed.call(held);
      await crashed.gate.isHeld;
      // As if its process had died and its lease had run out.
      await pool.query("update oncekey.records set lease_until = statement_timestamp()");
      const seen = await withServer(pool, lease, (api) => api.call(held));
      crashed.gate.open();
      await first;
      return seen;
    });
    expect(await underFault("outcome-unknown", held)).toEqual(real);
  });

  it("down", async () => {
    const nowhere = new Pool({ host: "127.0.0.1", port: 1 });
    const real = await withServer(nowhere, { replayCache: false }, (api) => api.call(call));
    await nowhere.end();
    const model = await underFault("down", call);
    expect({ ...model, body: undefined }).toEqual({ ...real, body: undefined });
    const detail = expect.any(String);
    expect(model.body).toEqual({ ...(real.body as object), detail });
  });
});
