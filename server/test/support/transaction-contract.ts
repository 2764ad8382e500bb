/**
 * The further contract of strategies whose handler writes in the transaction that holds the claim.
 */
import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { openStoreParts } from "../../src/store/store-parts.ts";
import type { Claim, Store, Ticket } from "../../src/store/store.ts";
import {
  claimed,
  createTicket,
  effect,
  effects,
  RETENTION,
  response,
  txOf,
} from "./store-contract.ts";
import type { StoreUnderTest } from "./store-contract.ts";

/** The contract of the one-commit strategies, beside that of every strategy. */
export function describeTransactionalStore({
  name,
  pool,
  create,
  createKey = randomUUID,
}: StoreUnderTest): void {
  describe(`${name} store, one commit`, () => {
    const makeTicket = (): Ticket => ({ ...createTicket(), key: createKey() });
    let store: Store;
    let other: Store;
    beforeAll(async () => {
      store = create(await openStoreParts(pool(), "oncekey"));
      other = create(await openStoreParts(pool(), "oncekey"));
    });

    it("lets the first one claim and stores its effect and response together", async () => {
      const ticket = makeTicket();
      const claim = await claimed(store, ticket);
      await effect(claim, ticket);
      expect(await effects(pool(), ticket), "before the commit").toBe(0);
      expect(await claim.complete(response("made"), "keep")).toMatchObject({ kind: "stored" });
      expect(await effects(pool(), ticket)).toBe(1);
      expect(await other.begin(ticket, RETENTION)).toMatchObject({
        kind: "replay",
        record: { response: response("made"), fingerprint: ticket.fingerprint },
      });
    });

    it("rolls the writes back and stores the answer where the handler failed with one", async () => {
      const ticket = makeTicket();
      const claim = await claimed(store, ticket);
      await effect(claim, ticket);
      expect(await claim.complete(response("declined", 402), "discard")).toMatchObject({
        kind: "stored",
      });
      expect(await effects(pool(), ticket)).toBe(0);
      expect(await store.lookup(ticket)).toMatchObject({ record: { response: { status: 402 } } });
    });

    it("stores a final answer of a handler that ran into an SQL error, without its writes", async () => {
      const ticket = makeTicket();
      const claim = await claimed(store, ticket);
      await effect(claim, ticket);
      await expect(txOf(claim).query("select 1 / 0")).rejects.toThrow("division by zero");
      expect(await claim.complete(response("refused", 422), "keep")).toMatchObject({
        kind: "stored",
      });
      expect(await effects(pool(), ticket)).toBe(0);
    });

    it("takes no success out of a failed transaction", async () => {
      const ticket = makeTicket();
      const claim = await claimed(store, ticket);
      await effect(claim, ticket);
      await expect(txOf(claim).query("select 1 / 0")).rejects.toThrow("division by zero");
      expect(await claim.complete(response("made"), "keep")).toMatchObject({ kind: "rolled-back" });
      expect(await store.lookup(ticket)).toEqual({ kind: "absent" });
    });

    it.each<[string, (claim: Claim) => Promise<unknown>]>([
      ["released", (claim) => claim.release("failed")],
      ["completed", (claim) => claim.complete(response("made"), "keep")],
      ["completed without its writes", (claim) => claim.complete(response("no", 402), "discard")],
    ])("runs nothing of the handler's behind its end: a claim that is %s", async (_name, end) => {
      const ticket = makeTicket();
      const opened = await store.open();
      if (opened.kind !== "claimed") throw new Error(opened.kind);
      for (const claim of [await claimed(store, ticket), opened.claim]) {
        const tx = txOf(claim);
        const query = tx.query.bind(tx) as (text: string) => Promise<unknown>;
        // Sent before the end and answered before it, so the handler goes on while the end is on
        // its way.
        const late = tx.query("select 1").then(async () => {
          const asked = [() => effect(claim, ticket), async () => query("select 1")];
          return Promise.allSettled(asked.map(async (ask) => ask()));
        });
        await end(claim);
        const reason = expect.objectContaining({
          message: "request.idempotency.tx was used after its transaction had ended with the reply",
        });
        const refused = { status: "rejected", reason };
        expect(await late).toEqual([refused, refused]);
      }
      expect(await effects(pool(), ticket)).toBe(0);
      expect(pool().idleCount).toBe(pool().totalCount);
    });

    it("opens a transaction that stores nothing for a request without a key", async () => {
      for (const [writes, count] of [
        ["keep", 1],
        ["discard", 0],
      ] as const) {
        const ticket = makeTicket();
        const outcome = await store.open();
        if (outcome.kind !== "claimed") throw new Error(outcome.kind);
        await effect(outcome.claim, ticket);
        await outcome.claim.complete(response("made"), writes);
        expect(await effects(pool(), ticket)).toBe(count);
        expect(await store.lookup(ticket)).toEqual({ kind: "absent" });
      }
    });

    it("takes a final answer out of a failed transaction without a key, also of a query that still runs", async () => {
      const ticket = makeTicket();
      const outcome = await store.open();
      if (outcome.kind !== "claimed") throw new Error(outcome.kind);
      await effect(outcome.claim, ticket);
      const failed = expect(txOf(outcome.claim).query("select 1 / 0")).rejects.toThrow("division");
      expect(await outcome.claim.complete(response("refused", 422), "keep")).toMatchObject({
        kind: "stored",
      });
      await failed;
      expect(await effects(pool(), ticket)).toBe(0);
      expect(pool().idleCount).toBe(pool().totalCount);
    });

    it("takes no success out of a failed transaction without a key either", async () => {
      const ticket = makeTicket();
      const outcome = await store.open();
      if (outcome.kind !== "claimed") throw new Error(outcome.kind);
      await effect(outcome.claim, ticket);
      await expect(txOf(outcome.claim).query("select 1 / 0")).rejects.toThrow("division by zero");
      expect(await outcome.claim.complete(response("made"), "keep")).toMatchObject({
        kind: "rolled-back",
      });
      expect(await effects(pool(), ticket)).toBe(0);
    });
  });
}
