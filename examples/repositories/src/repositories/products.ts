import { db } from "../db/db.ts";

export interface Product {
  readonly sku: string;
  readonly price_cents: number;
  readonly stock: number;
}

export function listProducts(): Promise<Product[]> {
  return db.selectFrom("products").selectAll().orderBy("sku").execute();
}

export function findProducts(skus: readonly string[]): Promise<Product[]> {
  return db.selectFrom("products").selectAll().where("sku", "in", skus).execute();
}

export function listProductsBelow(stock: number): Promise<Product[]> {
  return db.selectFrom("products").selectAll().where("stock", "<", stock).execute();
}
