/** One server process of the shop. It lives as long as the process that started it, and no longer. */
import { Pool } from "pg";
import { createShop } from "./shop.ts";

/** What the process says once it answers requests. */
export interface ShopServerReport {
  readonly port: number;
}

// A Ctrl-C reaches the whole terminal; the parent decides when its servers end.
process.on("SIGINT", () => undefined);
process.once("disconnect", () => process.exit());
// The parent may have gone while this process was loading.
if (!process.connected) process.exit();

const pool = new Pool({
  connectionString: process.env["DATABASE_URL"],
  max: 20,
  connectionTimeoutMillis: 5_000,
});
const app = await createShop(pool);
await app.listen({ host: "127.0.0.1", port: 0 });
const [address] = app.addresses();
if (typeof address !== "object") throw new Error("the server has no port");
const report: ShopServerReport = { port: address.port };
// A parent that went this very moment shows as an error, and then as a disconnect.
process.send?.(report, undefined, undefined, () => undefined);
