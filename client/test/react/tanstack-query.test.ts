import { memoryStorage } from "@oncekey/client";
import type { OperationStorage } from "@oncekey/client";
import {
  operationMutationOptions,
  resultOf,
  resumeOperationMutations,
} from "@oncekey/client/tanstack-query";
import {
  dehydrate,
  hydrate,
  MutationObserver,
  onlineManager,
  QueryClient,
} from "@tanstack/query-core";
import type { DehydratedState } from "@tanstack/query-core";
import { afterEach, describe, expect, expectTypeOf, it } from "vitest";
import { createHeld } from "../support/held.ts";
import type { Held } from "../support/held.ts";
import { done, json, reset, withServer } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";
import type { Cart, TestShop } from "../support/shop.ts";

const MUTATION_KEY = ["oncekey", "order"];

/** A page: a shop on a storage, and a query client that knows how its orders are made. */
function openPage(url: string, storage: OperationStorage, more: object = {}, attempts = 4) {
  const shop = createShop(url, { storage, attempts });
  const queries = new QueryClient();
  const options = operationMutationOptions(shop.order);
  queries.setMutationDefaults(MUTATION_KEY, { ...options, ...more });
  const observer = new MutationObserver(queries, { ...options, ...more });
  return { shop, queries, observer };
}

/** Returns the state after its way through a persister: text. */
function persist(queries: QueryClient): DehydratedState {
  const isPending = ({ state }: { state: { status: string } }) => state.status === "pending";
  return JSON.parse(JSON.stringify(dehydrate(queries, { shouldDehydrateMutation: isPending })));
}

/** A page that begins an order and is gone before the answer; what was persisted of it. */
async function begin(url: string, storage: OperationStorage, held: Held): Promise<DehydratedState> {
  const { observer, queries } = openPage(url, storage, {}, 1);
  observer.mutate(cart).catch(() => undefined);
  await held.arrived;
  return persist(queries);
}

function statesOf(queries: QueryClient): object[] {
  return queries
    .getMutationCache()
    .findAll({ mutationKey: MUTATION_KEY })
    .map(({ state: { status, data, error } }) => ({ status, data, error }));
}

afterEach(() => onlineManager.setOnline(true));

describe("an operation as a mutation", () => {
  it("resolves to the value after the operation's own retries, under one key", async () => {
    await withServer([reset, json(503, {}), done], async ({ url, seen }) => {
      const { observer, queries } = openPage(url, memoryStorage());
      expect(await observer.mutate(cart)).toEqual({ id: 1 });
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
      expect(seen).toHaveLength(3);
      expect(statesOf(queries)).toEqual([{ status: "success", data: { id: 1 }, error: null }]);
    });
  });

  it("fails if the result is not done, and is not sent again", async () => {
    await withServer([json(402, { detail: "declined" })], async ({ url, seen }) => {
      const { observer } = openPage(url, memoryStorage());
      await expect(observer.mutate(cart)).rejects.toMatchObject({ status: 402 });
      expect(seen).toHaveLength(1);
    });
  });

  it("places one order for two mutations in one tick", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { observer, queries } = openPage(url, memoryStorage());
      const other = new MutationObserver<{ id: number }, Error, Cart>(queries, {
        mutationKey: MUTATION_KEY,
      });
      const results = [observer.mutate(cart), other.mutate(cart)];
      expect(await Promise.all(results)).toEqual([{ id: 1 }, { id: 1 }]);
      expect(seen).toHaveLength(1);
    });
  });

  it("is sent while TanStack Query is offline, because the operation decides that itself", async () => {
    await withServer([done], async ({ url, seen }) => {
      onlineManager.setOnline(false);
      const { observer } = openPage(url, memoryStorage());
      expect(await observer.mutate(cart)).toEqual({ id: 1 });
      expect(seen).toHaveLength(1);
    });
  });
});

describe("the result of an operation behind its mutation", () => {
  const observe = (shop: TestShop) =>
    new MutationObserver(
      new QueryClient(),
      operationMutationOptions(shop.order, { data: "result" }),
    );

  it("is the data with data: 'result', so that a page knows of a replay", async () => {
    const replay = json(201, { id: 1 }, { "idempotent-replayed": "true" });
    await withServer([replay], async ({ url }) => {
      const data = await observe(createShop(url)).mutate(cart);
      expectTypeOf(data.replayed).toEqualTypeOf<boolean>();
      expect(data).toMatchObject({ value: { id: 1 }, replayed: true, status: 201 });
    });
  });

  it("is found by the error, with the way to resume", async () => {
    await withServer([reset, done], async ({ url, seen }) => {
      const observer = observe(createShop(url, { attempts: 1 }));
      const error: unknown = await observer.mutate(cart).catch((reason: unknown) => reason);
      const result = resultOf(error);
      if (result?.kind !== "unknown") throw new Error(`expected unknown, got ${result?.kind}`);
      expect(await result.resume()).toMatchObject({ kind: "done", value: { id: 1 } });
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
    });
  });

  it("has earlierResult or earlier if an earlier order exists", async () => {
    const mismatch = json(201, { id: 1 }, { "idempotency-mismatch": "true" });
    await withServer([reset, mismatch], async ({ url }) => {
      const observer = observe(createShop(url, { attempts: 1, onChange: "hold" }));
      await observer.mutate(cart).catch(() => undefined);
      const changed = { ...cart, lines: ["pear"] };
      const error: unknown = await observer.mutate(changed).catch((reason: unknown) => reason);
      const result = resultOf(error);
      if (result?.kind !== "rejected") throw new Error(`expected rejected, got ${result?.kind}`);
      expect(result.error.code).toBe("earlier_operation_exists");
      expect(result.earlierResult ?? result.earlier).toBeDefined();
    });
  });

  it("is missing for any other error", () => {
    expect([resultOf(new Error("another")), resultOf(null)]).toEqual([undefined, undefined]);
  });

  it("must be asked for by a value that exists", () => {
    const { order } = createShop("https://shop.example/");
    expect(() => operationMutationOptions(order, { data: "all" as "value" })).toThrow(
      "data must be 'value' or 'result', got \"all\"",
    );
  });
});

describe("after a reload, a dehydrated mutation resumes", () => {
  it("under the stored key, if it was under way", async () => {
    const held = createHeld();
    await withServer([held.reply, done], async ({ url, seen }) => {
      const storage = memoryStorage();
      const written = await begin(url, storage, held);
      const after = openPage(url, storage);
      hydrate(after.queries, written);
      expect(statesOf(after.queries)).toMatchObject([{ status: "pending" }]);
      await resumeOperationMutations(after.queries);
      expect(statesOf(after.queries)).toEqual([
        { status: "success", data: { id: 1 }, error: null },
      ]);
      expect(seen).toHaveLength(2);
      expect(seen[1]).toMatchObject({ key: seen[0]?.key, body: seen[0]?.body });
      expect(await pendingKeys(after.shop)).toEqual([]);
    });
  });

  it.each<[string, (queries: QueryClient) => Promise<unknown>]>([
    ["resumeOperationMutations", resumeOperationMutations],
    ["resumePausedMutations, which TanStack's persisters call", resume],
  ])("if it was paused and never sent: by %s", async (_name, goOn) => {
    await withServer([done], async ({ url, seen }) => {
      const storage = memoryStorage();
      onlineManager.setOnline(false);
      // Gone before the network is back, so it never gets to send.
      const mutationFn = () => new Promise(() => undefined);
      const before = openPage(url, storage, { networkMode: "online", mutationFn });
      void before.observer.mutate(cart);
      const written = persist(before.queries);
      onlineManager.setOnline(true);
      const after = openPage(url, storage);
      hydrate(after.queries, written);
      await goOn(after.queries);
      expect(statesOf(after.queries)).toMatchObject([{ status: "success", data: { id: 1 } }]);
      expect(seen).toHaveLength(1);
    });
  });

  it("and keeps its error if the outcome is still unknown", async () => {
    const held = createHeld();
    await withServer([held.reply, reset], async ({ url, seen }) => {
      const storage = memoryStorage();
      const written = await begin(url, storage, held);
      const after = openPage(url, storage);
      hydrate(after.queries, written);
      await resumeOperationMutations(after.queries);
      const error = { code: "outcome_unknown", key: seen[0]?.key };
      expect(statesOf(after.queries)).toMatchObject([{ status: "error", error }]);
      expect(await pendingKeys(after.shop)).toEqual([seen[0]?.key]);
    });
  });
});

it("is typed by the operation", () => {
  const { order } = createShop("https://shop.example/");
  const observer = new MutationObserver(new QueryClient(), operationMutationOptions(order));
  expectTypeOf(observer).toEqualTypeOf<MutationObserver<{ id: number } | undefined, Error, Cart>>();
  expect(observer.options).toMatchObject({ mutationKey: MUTATION_KEY, retry: false });
});

function resume(queries: QueryClient): Promise<unknown> {
  return queries.resumePausedMutations();
}

async function pendingKeys({ client }: TestShop): Promise<string[]> {
  return (await client.pending()).map(({ key }) => key);
}
