import { pool } from "../db/db.ts";
import { listProductsBelow } from "../repositories/products.ts";

const LOW_STOCK = 5;

for (const { sku, stock } of await listProductsBelow(LOW_STOCK)) console.log(`${sku}: ${stock}`);
await pool.end();
