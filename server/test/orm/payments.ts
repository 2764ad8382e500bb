/** The table that the contract's handlers write to, seen from a connection that joins no commit. */
import type pg from "pg";
import { beforeAll, beforeEach } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import type { TestDatabase } from "@oncekey/test-support/postgres/database";
import { createPayments } from "../support/shop.ts";

export interface Payments {
  readonly database: TestDatabase;
  /** Reads the amounts that are committed, in the order of their ids. */
  readonly committed: () => Promise<number[]>;
  /** Reads the id of the payment that was committed in the same transaction as the key's response. */
  readonly committedWith: (key: string) => Promise<number | undefined>;
  /** Terminates the sessions whose open transactions have written a payment. */
  readonly endWriters: () => Promise<void>;
}

/** Gives the test file that calls it, at its top level, a database with an empty table for each test. */
export function withPayments(): Payments {
  const database = withDatabase();
  let observer: pg.Pool;
  beforeAll(async () => {
    observer = database.pool({ max: 2 });
    await createPayments(observer);
  });
  beforeEach(async () => {
    await observer.query("truncate payments");
  });
  return {
    database,
    async committed() {
      const text = "select amount from payments order by id";
      const { rows } = await observer.query<{ amount: number }>(text);
      return rows.map(({ amount }) => amount);
    },
    async committedWith(key) {
      const { rows } = await observer.query<{ id: number }>(
        `select payments.id from payments, oncekey.records
          where records.key = $1 and payments.xmin = records.xmin`,
        [key],
      );
      return rows[0]?.id;
    },
    async endWriters() {
      await observer.query(
        `select pg_terminate_backend(pid, 5000) from pg_locks
          where relation = 'payments'::regclass and mode = 'RowExclusiveLock' and pid <> pg_backend_pid()`,
      );
    },
  };
}
