import type { Generated } from "kysely";

export interface Tables {
  readonly customers: CustomersTable;
  readonly products: ProductsTable;
  readonly orders: OrdersTable;
  readonly order_lines: OrderLinesTable;
  readonly ledger: LedgerTable;
}

interface CustomersTable {
  readonly id: string;
  readonly token: string;
  readonly credit_cents: number;
}

interface ProductsTable {
  readonly sku: string;
  readonly price_cents: number;
  readonly stock: number;
}

export type OrderStatus = "placed" | "cancelled";

interface OrdersTable {
  readonly id: Generated<number>;
  readonly customer_id: string;
  readonly total_cents: number;
  readonly status: OrderStatus;
}

interface OrderLinesTable {
  readonly order_id: number;
  readonly sku: string;
  readonly quantity: number;
  readonly price_cents: number;
}

interface LedgerTable {
  readonly id: Generated<number>;
  readonly customer_id: string;
  readonly order_id: number | null;
  readonly amount_cents: number;
}
