/** Counts the charges of cards, in the database only. */
import type { Pool } from "pg";
import type { Count } from "./wire.ts";

const COUNT = `
select via, cart, count(*)::int as charges
  from charges
 where shopper = $1
 group by via, cart`;

export async function countCharges(pool: Pool, shopper: string): Promise<Count[]> {
  const { rows } = await pool.query<Count>(COUNT, [shopper]);
  return rows;
}
