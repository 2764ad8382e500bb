/** The limits of `transactional(pool)`: concurrent requests, and all code outside a protected one-commit handler. */
import { describe, expect, it } from "vitest";
import { createGate } from "../support/gate.ts";
import type { Library, Transaction } from "./libraries/library.ts";
import type { Payments } from "./payments.ts";
import { protect, withLibraryShop } from "./with-library.ts";

const lease = {
  config: { idempotency: { strategy: "lease", lease: { durationMs: 60_000, onCrash: "fail" } } },
} as const;

export function boundariesOf(library: Library, { database, committed }: Payments): void {
  describe(`requests beside each other, with ${library.name}`, () => {
    it("keep their transactions apart: one commits, the other rolls back", async () => {
      const both = createGate();
      await withLibraryShop(
        { library, database },
        (app, db) =>
          app.post<{ Body: { amount: number } }>("/do", protect, async ({ body: { amount } }) => {
            await db.insert(amount);
            if (both.passed() === 1) both.open();
            await both.pass();
            await db.transaction(async (trx) => {
              await trx.insert(amount + 1);
            });
            const seen = await db.amounts();
            if (amount === 10) throw new Error("the handler failed");
            return { seen };
          }),
        async ({ post }) => {
          const [failed, done] = await Promise.all(
            [10, 20].map((amount) => post("/do", { key: crypto.randomUUID(), json: { amount } })),
          );
          expect([failed?.status, done?.status]).toEqual([500, 200]);
          expect(done?.json()["seen"]).toEqual([20, 21]);
          expect(await committed()).toEqual([20, 21]);
        },
      );
    });

    it("write to the pool if their route is not protected", async () => {
      await withLibraryShop(
        { library, database },
        (app, db) =>
          app.post("/do", async () => {
            await db.insert(1);
            const early = await committed();
            const failed = db.transaction(async (trx) => {
              await trx.insert(2);
              throw new Error("rolled back");
            });
            await failed.catch(() => undefined);
            await db.transaction(async (trx) => {
              await trx.insert(3);
            });
            return { early, late: await committed() };
          }),
        async ({ post }) => {
          const answer = await post("/do", { key: crypto.randomUUID() });
          expect(answer.json()).toEqual({ early: [1], late: [1, 3] });
        },
      );
    });

    it("write to the pool if their route uses strategy lease", async () => {
      await withLibraryShop(
        { library, database },
        (app, db) =>
          app.post("/do", lease, async () => {
            await db.insert(1);
            await db.transaction(async (trx) => {
              await trx.insert(2);
            });
            return { early: await committed() };
          }),
        async ({ post }) => {
          const answer = await post("/do", { key: crypto.randomUUID() });
          expect(answer.json()).toEqual({ early: [1, 2] });
        },
      );
    });
  });

  describe(`code of ${library.name} that is no part of a protected handler`, () => {
    it("keeps a transaction that it opened before: neither the handler's failure nor its success ends it", async () => {
      const opened = Promise.withResolvers<Transaction>();
      const gate = createGate();
      await withLibraryShop(
        { library, database },
        (app, db) =>
          app.post("/do", protect, async () => {
            await (await opened.promise).insert(1);
            await db.insert(2);
            throw new Error("the handler failed");
          }),
        async ({ post }, db) => {
          const job = db.transaction(async (trx) => {
            opened.resolve(trx);
            await gate.pass();
            await trx.insert(3);
          });
          const answer = await post("/do", { key: crypto.randomUUID() });
          gate.open();
          await job;
          expect(answer.status).toBe(500);
          expect(await committed()).toEqual([1, 3]);
        },
      );
    });

    it("commits by itself while a handler holds its transaction, and after the handler's reply", async () => {
      const gate = createGate();
      await withLibraryShop(
        { library, database },
        (app, db) =>
          app.post("/do", protect, async () => {
            await db.insert(1);
            await gate.pass();
            throw new Error("the handler failed");
          }),
        async ({ post }, db) => {
          const answer = post("/do", { key: crypto.randomUUID() });
          await gate.reached;
          await db.insert(2);
          expect(await committed()).toEqual([2]);
          gate.open();
          expect((await answer).status).toBe(500);
          await db.transaction(async (trx) => {
            await trx.insert(3);
          });
          expect(await committed()).toEqual([2, 3]);
        },
      );
    });

    it("never writes into another request's transaction if the handler started it and did not await it", async () => {
      const late = createGate();
      const settled = Promise.withResolvers<unknown>();
      await withLibraryShop(
        { library, database },
        (app, db) => {
          app.post("/forgets", protect, async () => {
            void late
              .pass()
              .then(() => db.insert(1))
              .then(settled.resolve, settled.resolve);
            return "done";
          });
          app.post("/fails", protect, async () => {
            await db.insert(2);
            late.open();
            await settled.promise;
            throw new Error("the handler failed");
          });
        },
        async ({ post }) => {
          await post("/forgets", { key: crypto.randomUUID() });
          expect((await post("/fails", { key: crypto.randomUUID() })).status).toBe(500);
          const outcome = await settled.promise;
          expect(await committed()).toEqual(outcome instanceof Error ? [] : [1]);
        },
      );
    });
  });
}
