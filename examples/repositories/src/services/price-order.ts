import { notFound } from "../errors.ts";
import { findProducts } from "../repositories/products.ts";

export interface OrderItem {
  readonly sku: string;
  readonly quantity: number;
}

export interface PricedItem extends OrderItem {
  readonly priceCents: number;
}

export async function priceOrder(items: readonly OrderItem[]): Promise<PricedItem[]> {
  const products = await findProducts(items.map(({ sku }) => sku));
  return items.map(({ sku, quantity }) => {
    const product = products.find((one) => one.sku === sku);
    if (product === undefined) throw notFound(`product ${sku}`);
    return { sku, quantity, priceCents: product.price_cents };
  });
}

export function sumOf(items: readonly PricedItem[]): number {
  return items.reduce((sum, { quantity, priceCents }) => sum + quantity * priceCents, 0);
}
