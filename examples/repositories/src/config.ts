export const config = {
  databaseUrl: process.env["DATABASE_URL"] ?? "postgres://127.0.0.1/shop",
  host: process.env["HOST"] ?? "127.0.0.1",
  port: Number(process.env["PORT"] ?? 3000),
  poolSize: Number(process.env["POOL_SIZE"] ?? 10),
};
