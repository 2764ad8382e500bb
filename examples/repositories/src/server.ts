import { buildApp } from "./app.ts";
import { config } from "./config.ts";
import { createTables } from "./db/create-tables.ts";

await createTables();
const app = await buildApp();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void app.close());
await app.listen({ host: config.host, port: config.port });
