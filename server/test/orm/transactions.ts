/** A protected handler that opens transactions of the library's own. */
import { describe, expect, it } from "vitest";
import { createGate } from "../support/gate.ts";
import { fail } from "./one-route.ts";
import type { OneRoute } from "./one-route.ts";
import type { Payments } from "./payments.ts";

/** More than an `int` holds: the statement fails in the database. */
const TOO_MUCH = 2 ** 31;

export function transactionsOf(name: string, { once }: OneRoute, { committed }: Payments): void {
  describe(`a transaction of ${name} in a protected handler`, () => {
    it("is a savepoint: if it fails, what the handler wrote before and after stays", async () => {
      const answer = await once(async (db) => {
        await db.insert(1);
        const failed = db.transaction(async (trx) => {
          await trx.insert(2);
          fail();
        });
        await expect(failed).rejects.toThrow("the handler failed");
        await db.insert(3);
      });
      expect(answer?.status).toBe(200);
      expect(await committed()).toEqual([1, 3]);
    });

    it("does not commit on its own: it rolls back with a handler that fails later", async () => {
      const answer = await once(async (db) => {
        await db.transaction(async (trx) => {
          await trx.insert(1);
        });
        expect(await committed()).toEqual([]);
        fail();
      });
      expect(answer?.status).toBe(500);
      expect(await committed()).toEqual([]);
    });

    it("confines a failed statement: the handler goes on after it", async () => {
      const answer = await once(async (db) => {
        await db.insert(1);
        const failed = db.transaction(async (trx) => {
          await trx.insert(TOO_MUCH);
        });
        await expect(failed).rejects.toThrow();
        await db.insert(2);
      });
      expect(answer?.status).toBe(200);
      expect(await committed()).toEqual([1, 2]);
    });

    it("rolls back alone if a statement failed in it and the error was caught before its end", async () => {
      const answer = await once(async (db) => {
        await db.insert(1);
        const hidden = db.transaction(async (trx) => {
          await trx.insert(2);
          await trx.insert(TOO_MUCH).catch(() => undefined);
        });
        // As outside: some libraries resolve, as Postgres does for the COMMIT of a failed transaction, and others reject.
        await hidden.catch(() => undefined);
        await db.insert(3);
      });
      expect(answer?.status).toBe(200);
      expect(await committed()).toEqual([1, 3]);
    });

    it("may have transactions inside it, each of which rolls back alone", async () => {
      const answer = await once((db) =>
        db.transaction(async (trx) => {
          await trx.insert(1);
          const failed = trx.nested(async (inner) => {
            await inner.insert(2);
            await inner.nested(async (innermost) => {
              await innermost.insert(3);
            });
            fail();
          });
          await expect(failed).rejects.toThrow("the handler failed");
          await trx.nested(async (inner) => {
            await inner.insert(4);
          });
        }),
      );
      expect(answer?.status).toBe(200);
      expect(await committed()).toEqual([1, 4]);
    });

    it("may be opened inside another one by code that does not know of it", async () => {
      const answer = await once((db) =>
        db.transaction(async (trx) => {
          await trx.insert(1);
          const failed = db.transaction(async (unaware) => {
            await unaware.insert(2);
            fail();
          });
          await expect(failed).rejects.toThrow("the handler failed");
          await trx.insert(3);
        }),
      );
      expect(answer?.status).toBe(200);
      expect(await committed()).toEqual([1, 3]);
    });

    it("may run beside another one: each commits or rolls back its own writes alone", async () => {
      const answer = await once(async (db) => {
        const write = (amounts: readonly number[], end: () => void) =>
          db.transaction(async (trx) => {
            for (const amount of amounts) await trx.insert(amount);
            end();
          });
        const ended = await Promise.allSettled([
          write([1, 2, 3], () => undefined),
          write([4, 5, 6], fail),
          write([7, 8, 9], () => undefined),
        ]);
        return ended.map(({ status }) => status);
      });
      expect(answer?.json()["done"]).toEqual(["fulfilled", "rejected", "fulfilled"]);
      expect((await committed()).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 7, 8, 9]);
    });

    it("does not lose its writes without an error if another one is open at the same time and rolls back", async () => {
      let first: PromiseSettledResult<unknown> | undefined;
      const answer = await once(async (db) => {
        const [began, paused, written] = [createGate(), createGate(), createGate()];
        [first] = await Promise.allSettled([
          db.transaction(async (trx) => {
            await trx.insert(1);
            began.open();
            await paused.reached;
            const late = trx.insert(2);
            written.open();
            await late;
          }),
          began.pass().then(() =>
            db.transaction(async (trx) => {
              await trx.insert(3);
              void paused.pass();
              await written.pass();
              fail();
            }),
          ),
        ]);
      });
      expect(answer?.status).toBe(200);
      expect(await committed()).toEqual(first?.status === "fulfilled" ? [1, 2] : []);
    });
  });
}
