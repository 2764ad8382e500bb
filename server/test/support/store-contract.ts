/** The contract of every strategy. One suite, run over each of the four on real Postgres. */
import { randomUUID } from "node:crypto";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { sweepBatch } from "../../src/store/maintenance/sweep-batch.ts";
import { openStoreParts } from "../../src/store/store-parts.ts";
import type { StoreParts } from "../../src/store/store-parts.ts";
import type { Claim, Retention, Store, StoredResponse, Ticket } from "../../src/store/store.ts";

export interface StoreUnderTest {
  readonly name: string;
  /** A pool of a migrated database that has the table `effects (key text)`. */
  readonly pool: () => pg.Pool;
  readonly create: (parts: StoreParts) => Store;
  /** Default: UUIDv4. */
  readonly createKey?: () => string;
  /** Whether the keys are in a partition that is dropped as a whole, so that the sweep deletes none of its rows. */
  readonly isDroppedByDay?: boolean;
}

const RETENTION_MS = 60_000;
const FENCE_MS = 10 * RETENTION_MS;
export const RETENTION: Retention = { retentionMs: RETENTION_MS, fenceMs: FENCE_MS };

/** The contract of every strategy. */
export function describeStore({
  name,
  pool,
  create,
  createKey = randomUUID,
  isDroppedByDay = false,
}: StoreUnderTest): void {
  describe(`${name} store`, () => {
    const makeTicket = (): Ticket => ({ ...createTicket(), key: createKey() });
    const byRow = (deleted: number): number => (isDroppedByDay ? 0 : deleted);
    let store: Store;
    let other: Store;
    beforeAll(async () => {
      store = create(await openStoreParts(pool(), "oncekey"));
      other = create(await openStoreParts(pool(), "oncekey"));
    });

    /**
     * Writes in the claim's transaction. Without one, it writes on a connection of its own, like a
     * call to another service.
     */
    async function effectOf(claim: Claim, ticket: Ticket): Promise<void> {
      if (claim.tx !== undefined) return effect(claim, ticket);
      await pool().query("insert into effects (key) values ($1)", [ticket.key]);
    }

    it("lets the first one claim, stores its response, and replays it to all others", async () => {
      const ticket = makeTicket();
      const claim = await claimed(store, ticket);
      await effectOf(claim, ticket);
      expect(claim).toMatchObject({ attempt: 1, signal: { aborted: false } });
      expect(await claim.complete(response("made"), "keep")).toMatchObject({
        kind: "stored",
        lifetimeMs: expect.closeTo(RETENTION_MS, -3),
        fenceMs: expect.closeTo(FENCE_MS, -3),
      });
      expect(await effects(pool(), ticket)).toBe(1);
      const replay = { record: { response: response("made"), fingerprint: ticket.fingerprint } };
      expect(await other.begin(ticket, RETENTION)).toMatchObject({ kind: "replay", ...replay });
      expect(await other.lookup(ticket)).toMatchObject({ kind: "replay", ...replay });
    });

    it("touches no row whose response is stored: a replay takes no lock, and writes nothing", async () => {
      const ticket = makeTicket();
      await (await claimed(store, ticket)).complete(response("made"), "keep");
      // The transaction that last locked or changed this version of the row.
      const lastTouched = async (): Promise<unknown> => {
        const text = "select ctid, xmax from oncekey.records where key = $1";
        return (await pool().query(text, [ticket.key])).rows;
      };
      const before = await lastTouched();
      expect(await other.begin(ticket, RETENTION)).toMatchObject({ kind: "replay" });
      expect(await other.lookup(ticket)).toMatchObject({ kind: "replay" });
      expect(await lastTouched()).toEqual(before);
    });

    it("keeps a body of all 256 bytes and header values as they are", async () => {
      const ticket = makeTicket();
      const body = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
      const kept: StoredResponse = {
        status: 201,
        headers: [
          ["link", "</a>; rel=next"],
          ["link", '</b>; title="é \\"'],
        ],
        body,
      };
      await (await claimed(store, ticket)).complete(kept, "keep");
      const outcome = await store.begin(ticket, RETENTION);
      expect(outcome.kind === "replay" && outcome.record.response).toEqual(kept);
    });

    it("keeps no body where there is none to keep, which is not an empty one", async () => {
      for (const body of [undefined, Buffer.alloc(0)]) {
        const ticket = makeTicket();
        await (await claimed(store, ticket)).complete({ status: 200, headers: [], body }, "keep");
        const outcome = await store.begin(ticket, RETENTION);
        expect(outcome.kind === "replay" && outcome.record.response.body).toEqual(body);
      }
    });

    it("reports in flight while another holds the claim, and holds no connection for it", async () => {
      const ticket = makeTicket();
      const claim = await claimed(store, ticket);
      expect(await other.begin(ticket, RETENTION)).toMatchObject({ kind: "in-flight" });
      expect(await other.lookup(ticket)).toMatchObject({ kind: "in-flight" });
      expect(pool().totalCount - pool().idleCount).toBe(claim.tx === undefined ? 0 : 1);
      await claim.release("free");
    });

    it("keeps nothing of a released claim, and the key is free again", async () => {
      const ticket = makeTicket();
      const claim = await claimed(store, ticket);
      await effectOf(claim, ticket);
      await claim.release("free");
      expect(await effects(pool(), ticket)).toBe(claim.tx === undefined ? 1 : 0);
      expect(await store.lookup(ticket)).toEqual({ kind: "absent" });
      await (await claimed(other, ticket)).release("free");
    });

    it("distinguishes scope, target and key", async () => {
      const ticket = makeTicket();
      await (await claimed(store, ticket)).complete(response("made"), "keep");
      for (const different of [{ scope: "else" }, { target: "POST /else" }, { key: createKey() }]) {
        await (await claimed(store, { ...ticket, ...different })).release("free");
      }
    });

    it("counts an expired record as absent: it runs again and replaces the record", async () => {
      const ticket = makeTicket();
      await (await claimed(store, ticket)).complete(response("first"), "keep");
      await expire(pool(), ticket);
      expect(await store.lookup(ticket)).toEqual({ kind: "absent" });
      await (await claimed(store, ticket)).complete(response("second"), "keep");
      expect(await store.lookup(ticket)).toMatchObject({
        record: { response: { body: Buffer.from("second") } },
      });
    });

    it("runs nothing between the end of a response and the end of its key, swept or not", async () => {
      const ticket = makeTicket();
      await (await claimed(store, ticket)).complete(response("made", 202), "keep");
      await expireResponse(pool(), ticket);
      const gone = {
        kind: "replay",
        record: {
          isTombstone: true,
          fingerprint: ticket.fingerprint,
          response: { status: 202, headers: [], body: undefined },
          lifetimeMs: expect.closeTo(FENCE_MS, -4),
        },
      };
      const ask = async () => [
        await store.begin(ticket, RETENTION),
        await other.begin(ticket, RETENTION),
        await other.lookup(ticket),
      ];
      expect(await ask()).toMatchObject([gone, gone, gone]);
      const parts = await openStoreParts(pool(), "oncekey");
      expect(await sweepBatch(parts, 100)).toMatchObject({ deleted: 0, buried: 1 });
      // The end of a tombstone is rounded up to a minute.
      gone.record.lifetimeMs = expect.closeTo(FENCE_MS + 30_000, -5);
      expect(await ask()).toMatchObject([gone, gone, gone]);
      expect(await sweepBatch(parts, 100)).toMatchObject({ deleted: 0, buried: 0 });
    });

    it("runs a key again once its tombstone is over, and the sweep deletes the row", async () => {
      const [again, swept] = [makeTicket(), makeTicket()];
      const parts = await openStoreParts(pool(), "oncekey");
      for (const ticket of [again, swept]) {
        await (await claimed(store, ticket)).complete(response("made"), "keep");
        await expireResponse(pool(), ticket);
      }
      await sweepBatch(parts, 100);
      for (const ticket of [again, swept]) await expireResponse(pool(), ticket);
      await (await claimed(store, again)).complete(response("second"), "keep");
      expect(await sweepBatch(parts, 100)).toMatchObject({ deleted: byRow(1), buried: 0 });
      expect(await store.lookup(swept)).toEqual({ kind: "absent" });
      expect(await store.lookup(again)).toMatchObject({
        record: { response: { body: Buffer.from("second") } },
      });
    });

    it("sweeps expired records only, and no more than asked", async () => {
      const [kept, ...gone] = [makeTicket(), makeTicket(), makeTicket(), makeTicket()];
      for (const ticket of [kept, ...gone]) {
        await (await claimed(store, ticket)).complete(response("made"), "keep");
      }
      for (const ticket of gone) await expire(pool(), ticket);
      const parts = await openStoreParts(pool(), "oncekey");
      for (const deleted of [2, 1, 0])
        expect(await sweepBatch(parts, 2)).toMatchObject({ deleted: byRow(deleted) });
      expect(await store.lookup(kept)).toMatchObject({ kind: "replay" });
    });

    it("makes one effect of a ticket that many try at once", async () => {
      const ticket = makeTicket();
      const outcomes = await Promise.all(
        Array.from({ length: 12 }, async (_, index) => {
          const outcome = await (index % 2 === 0 ? store : other).begin(ticket, RETENTION);
          if (outcome.kind === "claimed") {
            await effectOf(outcome.claim, ticket);
            await outcome.claim.complete(response("made"), "keep");
          }
          return outcome.kind;
        }),
      );
      expect(outcomes.filter((kind) => kind === "claimed")).toHaveLength(1);
      expect(await effects(pool(), ticket)).toBe(1);
    });
  });
}

export function createTicket(): Ticket {
  return { key: randomUUID(), scope: "s", target: "POST /pay", fingerprint: Buffer.from([1, 2]) };
}

export function response(body: string, status = 201): StoredResponse {
  return { status, headers: [["content-type", "text/plain"]], body: Buffer.from(body) };
}

export async function claimed(store: Store, ticket: Ticket): Promise<Claim> {
  const outcome = await store.begin(ticket, RETENTION);
  if (outcome.kind !== "claimed") throw new Error(`expected a claim, got ${outcome.kind}`);
  return outcome.claim;
}

/** The transaction of a claim that has one. */
export function txOf({ tx }: Claim): pg.PoolClient {
  if (tx === undefined) throw new Error("this claim has no transaction");
  return tx;
}

export async function effect(claim: Claim, ticket: Ticket): Promise<void> {
  await txOf(claim).query("insert into effects (key) values ($1)", [ticket.key]);
}

export async function effects(pool: pg.Pool, ticket: Ticket): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    "select count(*)::int as count from effects where key = $1",
    [ticket.key],
  );
  return rows[0]?.count ?? -1;
}

/** Makes a record as old as if its retention had passed, and its fence as well. */
async function expire(pool: pg.Pool, ticket: Ticket): Promise<void> {
  await expireResponse(pool, ticket);
  await pool.query("update oncekey.records set fence_until = expires_at where key = $1", [
    ticket.key,
  ]);
}

/** Makes a record as old as if its retention had passed. */
export async function expireResponse(pool: pg.Pool, ticket: Ticket): Promise<void> {
  await pool.query(
    `update oncekey.records set expires_at = statement_timestamp() - interval '1 second' where key = $1`,
    [ticket.key],
  );
}
