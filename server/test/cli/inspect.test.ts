import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createAdvisoryStore } from "../../src/store/strategies/advisory.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import type { StoredResponse } from "../../src/store/store.ts";
import { createEncryptedCodec } from "../../src/store/encryption/encrypted-codec.ts";
import { deriveKey } from "../../src/ticket/derive-key.ts";
import { claimed, createTicket } from "../support/store-contract.ts";
import { oncekey, oncekeyJson } from "./command.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

const KEY = "0199b0a2-7e00-7000-8000-1b2c3d4e5f60";
const PAID: StoredResponse = {
  status: 201,
  headers: [["content-type", "application/json"]],
  body: Buffer.from('{"card":"4242"}'),
};

async function store(
  response: StoredResponse,
  ids: Partial<Record<"key" | "scope" | "target", string>>,
) {
  const ticket = { ...createTicket(), key: KEY, target: "POST /payments", ...ids };
  const claim = await claimed(createAdvisoryStore(createStoreParts(pool, "oncekey")), ticket);
  expect(await claim.complete(response, "keep")).toMatchObject({ kind: "stored" });
}

function inspect(scope: string, ...more: string[]): string[] {
  return ["inspect", KEY, "--scope", scope, "--database-url", database.url, ...more];
}

describe("oncekey inspect", () => {
  it("shows what is stored for a key and never its body, unless that is asked for", async () => {
    await store(PAID, { scope: "anna" });
    const shown = await oncekey(inspect("anna"));
    expect(shown.code).toBe(0);
    expect(shown.out).toMatch(/^target {7}POST \/payments$/m);
    expect(shown.out).toMatch(/^state {8}finished; a retry is answered with the stored response$/m);
    expect(shown.out).toMatch(/^headers {6}content-type: application\/json$/m);
    expect(shown.out).toMatch(/^body {9}15 bytes$/m);
    expect(shown.out).not.toContain("4242");
    expect((await oncekey(inspect("anna", "--body"))).out).toContain('{"card":"4242"}');
  });

  it("prints the same as JSON, with the body as text or, if it is binary, in base64", async () => {
    await store(PAID, { scope: "bert" });
    await store(
      { ...PAID, body: Buffer.from([0xff, 0x00]) },
      { scope: "bert", target: "POST /photos" },
    );
    const [payment, photo] = await oncekeyJson<Record<string, unknown>[]>(inspect("bert"));
    expect(payment).toMatchObject({
      key: KEY,
      scope: "bert",
      target: "POST /payments",
      state: "finished",
      status: 201,
      headers: PAID.headers,
      bodyBytes: 15,
      attempt: 1,
    });
    expect(payment).not.toHaveProperty("body");
    expect(photo).toMatchObject({ target: "POST /photos", bodyBytes: 2 });
    const bodies = await oncekeyJson<{ body: unknown }[]>(inspect("bert", "--body"));
    expect(bodies.map(({ body }) => body)).toEqual([
      { text: '{"card":"4242"}' },
      { base64: "/wA=" },
    ]);
  });

  it("accepts the key as it stands in the header, and one target if it is given", async () => {
    await store(PAID, { scope: "cleo" });
    await store(PAID, { scope: "cleo", target: "POST /refunds" });
    const args = ["inspect", `"${KEY}"`, "--scope", "cleo", "--database-url", database.url];
    const found = await oncekeyJson<{ target: string }[]>([...args, "--target", "POST /refunds"]);
    expect(found.map(({ target }) => target)).toEqual(["POST /refunds"]);
  });

  it("ends with 1 where there is no such record, in another scope too", async () => {
    await store(PAID, { scope: "dora" });
    const { code, out, err } = await oncekey(inspect("emil"));
    expect([code, out]).toEqual([1, ""]);
    expect(err).toBe(`no record of key ${KEY} in scope emil\n`);
    expect(await oncekeyJson(inspect("emil"), 1)).toEqual([]);
  });

  it("prints the key that the handler derived, to ask the other service by", async () => {
    await store(PAID, { scope: "ines" });
    const ticket = { key: KEY, scope: "ines", target: "POST /payments" };
    const derivedKey = deriveKey(ticket, "charge");
    const args = inspect("ines", "--derive-key", "charge");
    expect((await oncekey(args)).out).toContain(`\nderived key  ${derivedKey}\n`);
    expect(await oncekeyJson(args)).toMatchObject([{ derivedKey }]);
    expect((await oncekeyJson<object[]>(inspect("ines")))[0]).not.toHaveProperty("derivedKey");
  });

  it("shows what callers chose with no power over the terminal", async () => {
    const body = Buffer.from("first\u001B[2J\nsecond\u202E");
    await store({ ...PAID, body }, { scope: "f\u001B]0;owned\u0007", target: "POST /\u001B[31m" });
    const { out } = await oncekey(inspect("f\u001B]0;owned\u0007", "--body"));
    expect(out).toContain("scope        f\\u{1b}]0;owned\\u{7}\n");
    expect(out).toContain("first\\u{1b}[2J\nsecond\\u{202e}");
    expect(out).not.toMatch(/[^\P{C}\n]/u);
  });

  it("prints that a record is encrypted, and with which key", async () => {
    const codec = createEncryptedCodec({ keys: [{ id: "k7", secret: "s".repeat(32) }] });
    const ticket = { ...createTicket(), key: KEY, scope: "greta" };
    const parts = { ...createStoreParts(pool, "oncekey"), codec };
    const claim = await claimed(createAdvisoryStore(parts), ticket);
    await claim.complete(PAID, "keep");
    const { out } = await oncekey(inspect("greta", "--body"));
    expect(out).toMatch(/^headers {6}encrypted, as the body is, with key k7$/m);
    expect(out).not.toContain("4242");
  });

  it("ends quietly when its reader has enough", async () => {
    await store({ ...PAID, body: Buffer.alloc(1_000_000, "x") }, { scope: "hugo" });
    const command = [...inspect("hugo", "--body")];
    const { err } = await oncekey(command, { closeAfterBytes: 100 });
    expect(err).toBe("");
  });
});
