/** One server process of the shop. It lives as long as the process that started it, and no longer. */
import { endWithParent, reportPort } from "@oncekey/test-support/processes/report-port";
import { Pool } from "pg";
import { createShop } from "./shop.ts";

// A Ctrl-C reaches the whole terminal; the parent decides when its servers end.
process.on("SIGINT", () => undefined);
endWithParent();

const pool = new Pool({
  connectionString: process.env["DATABASE_URL"],
  max: 20,
  connectionTimeoutMillis: 5_000,
});
const app = await createShop(pool);
await app.listen({ host: "127.0.0.1", port: 0 });
reportPort(app);
