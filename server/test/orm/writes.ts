/** A protected handler that writes through a library's `db`. */
import { describe, expect, it } from "vitest";
import { fail } from "./one-route.ts";
import type { OneRoute } from "./one-route.ts";
import type { Payments } from "./payments.ts";

export function writesOf(
  name: string,
  { withHandler, once }: OneRoute,
  { committed, committedWith, endWriters }: Payments,
): void {
  describe(`a write through ${name}`, () => {
    it("commits in the transaction that stores the response, and a replay does not repeat it", async () => {
      await withHandler(
        (db) => db.insert(7),
        async ({ post }) => {
          const key = crypto.randomUUID();
          const [first, again] = [await post("/do", { key }), await post("/do", { key })];
          expect(again.headers.get("idempotent-replayed")).toBe("true");
          expect(again.text).toBe(first.text);
          expect(await committedWith(key)).toBe(first.json()["done"]);
        },
      );
    });

    it("rolls back if the handler fails, and the retry makes it", async () => {
      let isBroken = true;
      await withHandler(
        async (db) => {
          await db.insert(1);
          await db.transaction((trx) => trx.insert(2).then(() => undefined));
          if (isBroken) fail();
        },
        async ({ post }) => {
          const key = crypto.randomUUID();
          expect((await post("/do", { key })).status).toBe(500);
          expect(await committed()).toEqual([]);
          isBroken = false;
          expect((await post("/do", { key })).status).toBe(200);
          expect(await committed()).toEqual([1, 2]);
        },
      );
    });

    it("is lost together with the response if the session ends before the commit", async () => {
      let isCut = true;
      await withHandler(
        async (db) => {
          await db.insert(3);
          if (isCut) await endWriters();
        },
        async ({ post }) => {
          const key = crypto.randomUUID();
          expect((await post("/do", { key })).status).toBe(503);
          expect(await committed()).toEqual([]);
          isCut = false;
          expect((await post("/do", { key })).status).toBe(200);
          expect(await committed()).toEqual([3]);
        },
      );
    });

    it("is visible only to the handler itself until the commit", async () => {
      const answer = await once(async (db) => {
        await db.insert(4);
        return { own: await db.amounts(), others: await committed() };
      });
      expect(answer?.json()["done"]).toEqual({ own: [4], others: [] });
      expect(await committed()).toEqual([4]);
    });

    it("needs no second connection: a pool of one serves the whole handler", async () => {
      const answer = await once(
        async (db) => {
          await Promise.all([db.insert(5), db.insert(5), db.insert(5)]);
          await db.transaction(async (trx) => {
            await trx.insert(6);
          });
          return db.amounts();
        },
        { max: 1 },
      );
      expect(answer?.json()["done"]).toEqual([5, 5, 5, 6]);
    });

    it("joins the commit if the plugin was registered with the transactional pool", async () => {
      const answer = await once(
        async (db) => {
          await db.insert(8);
          fail();
        },
        { registered: "transactional" },
      );
      expect(answer?.status).toBe(500);
      expect(await committed()).toEqual([]);
    });
  });
}
