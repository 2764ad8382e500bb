import { memoryStorage } from "@oncekey/client";
import type { OperationStorage } from "@oncekey/client";
import { operationMutationOptions, resumeOperationMutations } from "@oncekey/client/tanstack-query";
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

/** What a persister writes down and reads: text. */
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
  it("resolves to its value, and its retries are the operation's own, under one key", async () => {
    await withServer([reset, json(503, {}), done], async ({ url, seen }) => {
      const { observer, queries } = openPage(url, memoryStorage());
      expect(await observer.mutate(cart)).toEqual({ id: 1 });
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
      expect(seen).toHaveLength(3);
      expect(statesOf(queries)).toEqual([{ status: "success", data: { id: 1 }, error: null }]);
    });
  });

  it("is in error where the result is not done, and nothing sends it again", async () => {
    await withServer([json(402, { detail: "declined" })], async ({ url, seen }) => {
      const { observer } = openPage(url, memoryStorage());
      await expect(observer.mutate(cart)).rejects.toMatchObject({ status: 402 });
      expect(seen).toHaveLength(1);
    });
  });

  it("is one order however often it is mutated in one tick", async () => {
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

  it("is sent while the page takes itself for offline: that is the operation's own matter", async () => {
    await withServer([done], async ({ url, seen }) => {
      onlineManager.setOnline(false);
      const { observer } = openPage(url, memoryStorage());
      expect(await observer.mutate(cart)).toEqual({ id: 1 });
      expect(seen).toHaveLength(1);
    });
  });
});

describe("after a reload, a mutation that was dehydrated goes on", () => {
  it("under the key that was stored, where it was under way", async () => {
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
  ])("where it was paused and never sent: by %s", async (_name, goOn) => {
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

  it("and its error is kept in it where it still is not known how it ended", async () => {
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
