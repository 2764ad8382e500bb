import { migrate } from "@oncekey/server";
import { pool } from "./db.ts";

const TABLES = `
create table if not exists customers (
  id text primary key,
  token text not null unique,
  credit_cents int not null check (credit_cents >= 0)
);
create table if not exists products (
  sku text primary key,
  price_cents int not null check (price_cents > 0),
  stock int not null check (stock >= 0)
);
create table if not exists orders (
  id int generated always as identity primary key,
  customer_id text not null references customers,
  total_cents int not null,
  status text not null
);
create table if not exists order_lines (
  order_id int not null references orders,
  sku text not null references products,
  quantity int not null check (quantity > 0),
  price_cents int not null,
  primary key (order_id, sku)
);
create table if not exists ledger (
  id int generated always as identity primary key,
  customer_id text not null references customers,
  order_id int references orders,
  amount_cents int not null
);`;

export async function createTables(): Promise<void> {
  await pool.query(TABLES);
  await migrate(pool);
}
