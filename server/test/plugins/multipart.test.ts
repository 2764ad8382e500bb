import { text } from "node:stream/consumers";
import multipart from "@fastify/multipart";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import type { ShopOptions } from "../support/shop.ts";
import { PLACES, withNeighbour } from "./with-plugin.ts";
import type { Add, Place } from "./with-plugin.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

/** Uploads each file under one key, and returns the answers. */
async function upload(
  place: Place,
  parts: {
    readonly neighbour: Add;
    readonly options?: Partial<ShopOptions>;
    readonly routes: Add;
  },
  files: readonly string[],
): Promise<{ status: number; text: string; replayed: boolean; mismatch: boolean }[]> {
  const { neighbour, options, routes } = parts;
  const answers: { status: number; text: string; replayed: boolean; mismatch: boolean }[] = [];
  await withNeighbour(
    place,
    {
      options: { pool, ...options },
      neighbour,
      routes,
    },
    async ({ url }) => {
      const key = crypto.randomUUID();
      for (const file of files) {
        const body = new FormData();
        body.set("title", "a receipt");
        body.set("file", new File([file], "receipt.txt", { type: "text/plain" }));
        const response = await fetch(`${url}/upload`, {
          method: "POST",
          headers: { "idempotency-key": key, "x-size": String(file.length) },
          body,
        });
        answers.push({
          status: response.status,
          text: await response.text(),
          replayed: response.headers.has("idempotent-replayed"),
          mismatch: response.headers.has("idempotency-mismatch"),
        });
      }
    },
  );
  return answers;
}

const protect = { config: { idempotency: true } };
const REPLAY = { status: 200, text: "1: one", replayed: true, mismatch: false };
const EXPECTED = [{ ...REPLAY, replayed: false }, REPLAY, { ...REPLAY, mismatch: true }];

describe.each(PLACES)("@fastify/multipart %s", (place) => {
  it("with its files in the body: the same upload is replayed, though its boundary differs; another file is a mismatch", async () => {
    let runs = 0;
    const answers = await upload(
      place,
      {
        neighbour: (app) => app.register(multipart, { attachFieldsToBody: "keyValues" }),
        routes: (app) =>
          app.post<{ Body: { file: Buffer } }>("/upload", protect, async ({ body }) => {
            runs += 1;
            return `${runs}: ${body.file.toString()}`;
          }),
      },
      ["one", "one", "two"],
    );
    expect(answers).toEqual(EXPECTED);
  });

  it("with its parts in the body: the fingerprint option distinguishes them", async () => {
    let runs = 0;
    const answers = await upload(
      place,
      {
        neighbour: (app) => app.register(multipart, { attachFieldsToBody: true }),
        options: { fingerprint: (request) => request.headers["x-size"] },
        routes: (app) =>
          app.post<{ Body: { file: { toBuffer(): Promise<Buffer> } } }>(
            "/upload",
            protect,
            async ({ body }) => {
              runs += 1;
              return `${runs}: ${(await body.file.toBuffer()).toString()}`;
            },
          ),
      },
      ["one", "one", "three"],
    );
    expect(answers).toEqual(EXPECTED);
  });

  it("with its files as streams: the fingerprint option distinguishes them, and a replay reads none", async () => {
    let runs = 0;
    const large = "x".repeat(900_000);
    const answers = await upload(
      place,
      {
        neighbour: (app) => app.register(multipart),
        options: { fingerprint: (request) => request.headers["x-size"] },
        routes: (app) =>
          app.post("/upload", protect, async (request) => {
            runs += 1;
            const part = await request.file();
            return `${runs}: ${part === undefined ? 0 : (await text(part.file)).length}`;
          }),
      },
      [large, large, "two"],
    );
    expect(answers.map((answer) => answer.text)).toEqual(Array(3).fill("1: 900000"));
    expect(answers.map(({ mismatch }) => mismatch)).toEqual([false, false, true]);
    expect(answers.map(({ replayed }) => replayed)).toEqual([false, true, true]);
  });

  it.each([
    ["as streams", {}],
    ["as parts", { attachFieldsToBody: true as const }],
  ])(
    "with its files %s and no fingerprint option: refused, because they could not be told apart",
    async (_name, settings) => {
      let runs = 0;
      const answers = await upload(
        place,
        {
          neighbour: (app) => app.register(multipart, settings),
          routes: (app) =>
            app.post("/upload", protect, async (request) => {
              runs += 1;
              const part = await request.file();
              return part === undefined ? "nothing" : text(part.file);
            }),
        },
        ["one", "two"],
      );
      expect(answers.map(({ status }) => status)).toEqual([500, 500]);
      expect(answers[0]?.text).toContain("fingerprint option");
      expect(runs).toBe(0);
    },
  );
});
