/** The part of a library that the contract uses: one table, transactions, and transactions inside them. */
import type pg from "pg";

export interface Library {
  readonly name: string;
  /** Makes the library's object over a pool: the one line that an application changes. */
  readonly open: (pool: pg.Pool) => Promise<Database>;
}

export interface Database extends Writer {
  /** Runs `body` in a transaction of the library's own, which rolls back if `body` throws. */
  readonly transaction: (body: (inner: Transaction) => Promise<void>) => Promise<unknown>;
  /** Releases what the library holds; it may end the pool. */
  readonly close: () => Promise<void>;
}

export interface Transaction extends Writer {
  /** Runs `body` in a transaction inside this one, as the library nests them. */
  readonly nested: (body: (inner: Transaction) => Promise<void>) => Promise<unknown>;
}

interface Writer {
  /** Inserts a payment and returns its id. */
  readonly insert: (amount: number) => Promise<number>;
  /** Reads the amounts of all payments, in the order of their ids. */
  readonly amounts: () => Promise<number[]>;
}
