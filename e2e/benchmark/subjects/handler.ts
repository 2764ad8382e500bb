/** The handler that every server runs: one INSERT by a named statement, and a reply of 535 bytes. */
import type { QueryConfig, QueryResult } from "pg";

export const REPLY_BYTES = 535;

const INSERT: QueryConfig = {
  name: "insert-payment",
  text: "insert into payments (amount, currency) values ($1, $2) returning id",
  values: [4_200, "EUR"],
};

export const CREATE_PAYMENTS =
  "create table if not exists payments (id bigint generated always as identity primary key, amount int not null, currency text not null)";

/** The part that a pool, a client and our `tx` have in common. */
export interface Queryable {
  query(config: QueryConfig): Promise<QueryResult<{ id: string }>>;
}

export async function insertPayment(client: Queryable): Promise<string> {
  const { rows } = await client.query(INSERT);
  return rows[0]?.id ?? "0";
}

/** Returns the reply as data: each server turns it into JSON itself. */
export function receipt(id: string): { readonly id: string; readonly note: string } {
  return { id, note: "x".repeat(REPLY_BYTES - '{"id":"","note":""}'.length - id.length) };
}
