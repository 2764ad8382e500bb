import { request } from "node:http";
import { once } from "node:events";
import { migrate } from "@oncekey/server";
import type { IncomingMessage } from "node:http";
import type pg from "pg";
import { afterEach, beforeAll, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { serveLaptop } from "../../src/operator/laptop.ts";
import type { Laptop } from "../../src/operator/laptop.ts";
import { oncekey, oncekeyUntilLine } from "./command.ts";

const database = withDatabase();
let pool: pg.Pool;
const open: Laptop[] = [];
beforeAll(async () => {
  pool = database.pool();
  await migrate(pool);
});
afterEach(async () => {
  for (const laptop of open.splice(0)) await laptop.close();
});

async function serve(): Promise<URL> {
  const laptop = await serveLaptop(pool, "oncekey", 0);
  open.push(laptop);
  return new URL(laptop.url);
}

/** Sends a GET with any `host` header, which fetch does not allow. */
async function get(
  url: URL,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<IncomingMessage> {
  const asked = request({ host: url.hostname, port: url.port, path, headers });
  asked.end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  response.resume();
  return response;
}

it("serves the page on 127.0.0.1 to the address with the token, which becomes a cookie", async () => {
  const url = await serve();
  expect(url.hostname).toBe("127.0.0.1");
  const entered = await get(url, url.pathname + url.search);
  expect([entered.statusCode, entered.headers.location]).toEqual([303, "/"]);
  const [cookie = ""] = entered.headers["set-cookie"] ?? [];
  expect(cookie).toMatch(/; HttpOnly; SameSite=Strict; Path=\/$/);
  const page = await get(url, "/", { cookie: cookie.split(";")[0] ?? "" });
  expect(page.statusCode).toBe(200);
});

it("refuses requests without the token, and a name that another site has given to this address", async () => {
  const url = await serve();
  const cookie = `oncekey-ui-${url.port}=${url.searchParams.get("token")}`;
  expect((await get(url, "/", { cookie })).statusCode).toBe(200);
  for (const path of ["/", "/key?key=k", "/style.css", "/?token=wrong"])
    expect((await get(url, path)).statusCode).toBe(401);
  expect((await get(url, "/", { cookie, host: `evil.example:${url.port}` })).statusCode).toBe(401);
  expect((await get(url, "/", { cookie: "oncekey-ui-1=x" })).statusCode).toBe(401);
});

it("prints the address, and ends with 0 when it is interrupted", async () => {
  const args = ["ui", "--port", "0", "--database-url", database.url];
  const { line, interrupt } = await oncekeyUntilLine(args);
  const url = new URL(line);
  expect((await get(url, "/")).statusCode).toBe(401);
  expect(await interrupt()).toBe(0);
});

it("ends with 2 if its port is taken or none, and with 3 if there are no tables", async () => {
  const url = await serve();
  const there = ["--database-url", database.url];
  const taken = await oncekey(["ui", "--port", url.port, ...there]);
  expect([taken.code, taken.err]).toEqual([
    2,
    `error: port ${url.port} cannot be used (EADDRINUSE); choose another with --port\n`,
  ]);
  const none = await oncekey(["ui", "--port", "70000", ...there]);
  expect([none.code, none.err]).toEqual([
    2,
    expect.stringContaining("It must be a whole number from 0 to 65535"),
  ]);
  expect((await oncekey(["ui", "--schema", "absent", ...there])).code).toBe(3);
});
