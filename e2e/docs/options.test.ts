import { readFile } from "node:fs/promises";
import { createClient } from "@oncekey/client";
import { createIdempotentFetch } from "@oncekey/client/fetch";
import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import { Pool } from "pg";
import { describe, expect, it } from "vitest";

const UNKNOWN = { unheardOf: true };
const OPTIONS = { scope: "single-tenant", sweep: false } as const;

describe("the options that the code accepts are those of docs/reference", () => {
  it("for the registration of the plugin", async () => {
    await using app = Fastify();
    const pool = new Pool();
    const register = async () => idempotency(app, { ...OPTIONS, pool, ...UNKNOWN });
    expect(await acceptedBy(register)).toEqual(await listedOn("plugin-options"));
  });

  it("for a route", async () => {
    await using app = Fastify();
    const pool = new Pool();
    await app.register(idempotency, { ...OPTIONS, pool });
    const add = async () => {
      app.post("/", { config: { idempotency: { ...UNKNOWN } } }, async () => "");
    };
    const ofRoutes = await listedOn("plugin-options", ([, route]) => route === "yes");
    expect(await acceptedBy(add)).toEqual(ofRoutes);
  });

  it("for the client", async () => {
    const create = async () => createClient({ attempts: 1, ...UNKNOWN });
    expect(await acceptedBy(create)).toEqual(await listedOn("client-options"));
  });

  it("for an operation", async () => {
    const request = () => ({ path: "orders" });
    const define = async () => createClient().operation("buy", { request, ...UNKNOWN });
    expect(await acceptedBy(define)).toEqual(await listedOn("operations"));
  });

  it("for fetch", async () => {
    const create = async () => createIdempotentFetch({ attempts: 1, ...UNKNOWN });
    expect(await acceptedBy(create)).toEqual(await listedOn("fetch"));
  });
});

/** Returns the options in the message that refuses an unknown one. */
async function acceptedBy(create: () => Promise<unknown>): Promise<string[]> {
  const error = await create().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof TypeError)) throw new Error("an unknown option was accepted");
  const [, accepted = ""] = /unheardOf; allowed are (.*)$/.exec(error.message) ?? [];
  return accepted.split(", ").toSorted();
}

/** Returns the names in the first column of a page's table. */
async function listedOn(
  page: string,
  isWanted: (cells: readonly string[]) => boolean = () => true,
): Promise<string[]> {
  const text = await readFile(new URL(`../../docs/reference/${page}.md`, import.meta.url), "utf8");
  const rows = text.split("\n").filter((line) => line.startsWith("| [`"));
  const cells = rows.map((row) =>
    row
      .split("|")
      .slice(1)
      .map((cell) => cell.trim()),
  );
  return cells
    .filter(isWanted)
    .map(([first = ""]) => /`(\w+)`/.exec(first)?.[1] ?? "")
    .toSorted();
}
