/** Requests while partitions come and go: one effect a key, and none for a key whose day was dropped. */
import { migrate } from "@oncekey/server";
import { IDEMPOTENT_REPLAYED } from "@oncekey/shared";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { v7 } from "uuid";
import { beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { keepDays } from "../../src/store/maintenance/days.ts";
import { boundOf, DAY_MS, partitionOf } from "../../src/store/sql/days.ts";
import { gaveUpOn } from "../../src/store/postgres/transaction.ts";
import { openStoreParts } from "../../src/store/store-parts.ts";
import {
  addPastDays,
  addRows,
  daysAgo,
  keyOf,
  partitions,
  tableOf,
} from "../support/day-partitions.ts";
import { countPatient } from "../support/patient-sessions.ts";
import { withShop } from "../support/shop.ts";
import type { Answer, Shop } from "../support/shop.ts";

const database = withDatabase({ from: "empty" });
let pool: pg.Pool;
beforeEach(async () => {
  pool = database.pool({ max: 16 });
  await pool.query(
    "drop schema if exists oncekey cascade; drop table if exists effects; create table effects (key text)",
  );
  await migrate(pool, { partitioned: true });
});

const STRATEGIES = ["advisory", "unique", "row", "lease"] as const;

/** A route for each strategy, whose handler writes one row a call. */
function addRoutes(app: FastifyInstance): void {
  for (const strategy of STRATEGIES) {
    const lease = strategy === "lease" ? { lease: { onCrash: "rerun" as const } } : {};
    const config = { idempotency: { strategy, ...lease } };
    app.post(`/${strategy}`, { config }, async (request, reply) => {
      const { key } = request.idempotency;
      const tx = strategy === "lease" ? pool : request.idempotency.tx;
      await tx.query("insert into effects (key) values ($1)", [key]);
      return reply.code(201).send({ key });
    });
  }
}

async function effectsOf(key: string): Promise<number> {
  const { rowCount } = await pool.query("select from effects where key = $1", [key]);
  return rowCount ?? -1;
}

async function keep(): Promise<{ readonly created: number; readonly dropped: number }> {
  return keepDays(await openStoreParts(pool, "oncekey"));
}

function code({ status, text }: Answer): string {
  return status === 201 ? "201" : `${status} ${(JSON.parse(text) as { code: string }).code}`;
}

describe.each(STRATEGIES)("a route of strategy %s", (strategy) => {
  it("refuses a key whose day was dropped with 412, and runs nothing", async () => {
    await addPastDays(pool, 35);
    const key = keyOf(daysAgo(35));
    await withShop({ pool, outsideWrites: "allow" }, addRoutes, async ({ post }) => {
      const send = async (sent: string): Promise<string> =>
        code(await post(`/${strategy}`, { key: sent, json: {} }));
      expect(await send(key)).toBe("201");
      await pool.query(
        "update oncekey.records set expires_at = now() - interval '1 hour', fence_until = now() - interval '1 hour'",
      );
      expect(await keep()).toEqual({ created: 0, dropped: 1 });
      expect(await send(key)).toBe("412 idempotency_key_expired");
      expect(await send(keyOf(daysAgo(35)))).toBe("412 idempotency_key_expired");
      expect(await effectsOf(key)).toBe(1);
      expect(await send(keyOf(daysAgo(34)))).toBe("201");
      expect(await send(keyOf(daysAgo(-30)))).toBe("201");
      expect(await send(v7())).toBe("201");
    });
  });

  it("still replays a key that sorts into a dropped day, and still runs a new one", async () => {
    await addPastDays(pool, 35);
    const stray = `${boundOf(daysAgo(35) + DAY_MS / 2)}-order`;
    await withShop({ pool, outsideWrites: "allow" }, addRoutes, async ({ post }) => {
      const send = async (key: string): Promise<Answer> => post(`/${strategy}`, { key, json: {} });
      expect((await send(stray)).headers.get(IDEMPOTENT_REPLAYED)).toBeNull();
      expect(await tableOf(pool, stray)).toBe(partitionOf(daysAgo(35)));
      expect(await keep()).toEqual({ created: 0, dropped: 1 });
      const replay = await send(stray);
      expect([code(replay), replay.headers.get(IDEMPOTENT_REPLAYED)]).toEqual(["201", "true"]);
      expect(await effectsOf(stray)).toBe(1);
      expect(code(await send(`${stray}-2`))).toBe("201");
    });
  });
});

/** Sends each key to each route from three callers at once, and repeats until the answer is final. */
async function storm({ post }: Shop, keys: readonly string[]): Promise<Map<string, string[]>> {
  const answers = new Map<string, string[]>();
  const sendUntilFinal = async (path: string, key: string): Promise<string> => {
    for (;;) {
      const answer = code(await post(path, { key, json: {} }));
      if (!answer.startsWith("409")) return answer;
    }
  };
  await Promise.all(
    keys.flatMap((key) => {
      // The same route each time.
      const path = `/${STRATEGIES[(key.codePointAt(key.length - 1) ?? 0) % STRATEGIES.length] ?? ""}`;
      return [0, 1, 2].map(async () => {
        const answer = await sendUntilFinal(path, key);
        answers.set(key, [...(answers.get(key) ?? []), answer]);
      });
    }),
  );
  return answers;
}

describe("requests while partitions come and go", () => {
  it.each(STRATEGIES)(
    "wait for a locked partition, and run or get their replay: %s",
    async (strategy) => {
      await withShop(
        { pool, outsideWrites: "allow", inFlight: "reject" },
        addRoutes,
        async ({ post }) => {
          const [key, newKey] = [v7(), v7()];
          const send = async (sent: string): Promise<Answer> =>
            post(`/${strategy}`, { key: sent, json: {} });
          expect(code(await send(key))).toBe("201");
          const keeper = await pool.connect();
          try {
            await keeper.query(
              "begin; lock table only oncekey.records_days in access exclusive mode",
            );
            let isAnswered = false;
            const locked = Promise.all([send(key), send(newKey)]).finally(() => {
              isAnswered = true;
            });
            await expect
              .poll(async () => isAnswered || (await countPatient(pool)) === 2)
              .toBe(true);
            await keeper.query("commit");
            const [replay, first] = await locked;
            expect([code(replay), code(first)]).toEqual(["201", "201"]);
            expect(replay.headers.get(IDEMPOTENT_REPLAYED)).toBe("true");
          } finally {
            await keeper.query("rollback");
            keeper.release();
          }
          expect([await effectsOf(key), await effectsOf(newKey)]).toEqual([1, 1]);
        },
      );
    },
  );

  it("make one effect a key, in whichever partition it is", async () => {
    await addPastDays(pool, 35, 34, 33);
    for (const day of [-1, -2, -3, -4, -5, -6, -7])
      await pool.query(`drop table oncekey.${partitionOf(daysAgo(day))}`);
    await addRows(
      pool,
      ...[35, 34, 33].map((ago) => ({ key: keyOf(daysAgo(ago)), expiresIn: -9, fencedFor: -9 })),
    );
    await withShop({ pool, outsideWrites: "allow" }, addRoutes, async (shop) => {
      let isOver = false;
      let [created, dropped] = [0, 0];
      const keeper = (async () => {
        while (!isOver) {
          // A try that met a handler is not to wait for a minute.
          await pool.query("update oncekey.days set look_at = now()");
          const kept = await keep();
          created += kept.created;
          dropped += kept.dropped;
        }
      })();
      const seen = new Map<string, string[]>();
      for (let round = 0; round < 8 || created < 7 || dropped < 3; round += 1) {
        const keys = [35, 34, 33, 0, -1, -2, -3, -4, -5, -6, -7].flatMap((ago) =>
          round > 0 && ago > 0
            ? [`${boundOf(daysAgo(ago) + DAY_MS / 2)}-stray-${ago}-${round}`]
            : [keyOf(daysAgo(ago))].filter(() => ago <= 0),
        );
        for (const [key, answers] of await storm(shop, keys)) seen.set(key, answers);
      }
      isOver = true;
      await keeper;
      for (const [key, answers] of seen) {
        expect([key, answers]).toEqual([key, ["201", "201", "201"]]);
        expect([key, await effectsOf(key)]).toEqual([key, 1]);
      }
      // Each is found again, wherever it is by now.
      expect(await storm(shop, [...seen.keys()])).toEqual(seen);
      for (const key of seen.keys()) expect([key, await effectsOf(key)]).toEqual([key, 1]);
      expect(await partitions(pool)).toHaveLength(8);
    });
  });
});

describe("a statement that gave up waiting for a lock", () => {
  const insert = `insert into oncekey.records (key, scope, target, fingerprint, created_at, expires_at)
    values ('k', 's', 't', '\\x01', now(), now()) on conflict (key, scope, target) do update set status = 1`;
  const waits: [string, string, string, "row" | "table" | undefined][] = [
    ["a row that is not committed", insert, insert, "row"],
    ["a row that is held", "select from oncekey.records for update", insert, "row"],
    ["a table", "lock table only oncekey.records", insert, "table"],
    ["a partition", "lock table oncekey.records_other", insert, "table"],
    ["nothing", "select", "select 1 / 0", undefined],
  ];

  it.each(waits)("knows what held the lock: %s", async (_what, hold, ask, expected) => {
    await pool.query("delete from oncekey.records");
    if (hold !== insert) await pool.query(insert);
    const [holder, waiter] = await Promise.all([pool.connect(), pool.connect()]);
    try {
      await holder.query("begin");
      await holder.query(hold);
      const failed = waiter.query(`begin; set local lock_timeout = '1ms'; ${ask}`);
      const error: unknown = await failed.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(Error);
      expect(gaveUpOn(error)).toBe(expected);
    } finally {
      await Promise.all([holder.query("rollback"), waiter.query("rollback")]);
      holder.release();
      waiter.release();
    }
  });
});
