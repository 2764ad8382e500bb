import { describe, expect, it } from "vitest";
import { PLAIN_CODEC } from "../../src/store/record-codec.ts";
import { createEncryptedCodec } from "../../src/store/encryption/encrypted-codec.ts";

const ticket = { key: "k", scope: "s", target: "POST /pay", fingerprint: Buffer.alloc(33, 1) };
const response = { status: 201, headers: [], body: Buffer.from("paid") };
const life = { lifetimeMs: 1, fenceMs: 1, askedAt: 0 };
const codec = createEncryptedCodec({ keys: [{ id: "one", secret: "x".repeat(32) }] });

describe("the plain codec", () => {
  it("copies nothing: response, fingerprint, step and record are the objects it was given", () => {
    const record = { ...life, fingerprint: ticket.fingerprint, response };
    expect(PLAIN_CODEC.seal(response, ticket)).toBe(response);
    expect(PLAIN_CODEC.fingerprint(ticket)).toBe(ticket.fingerprint);
    expect(PLAIN_CODEC.open(record, ticket)).toBe(record);
    expect(PLAIN_CODEC.openStep(PLAIN_CODEC.sealStep("{}", "pay", ticket), "pay", ticket)).toBe(
      "{}",
    );
  });

  it("refuses what an encrypted codec wrote: record, step, and whose an unfinished row is", () => {
    const fingerprint = codec.fingerprint(ticket);
    const sealed = { ...life, fingerprint, response: codec.seal(response, ticket) };
    expect(() => PLAIN_CODEC.open(sealed, ticket)).toThrow("option encryption is not set");
    const step = codec.sealStep("{}", "pay", ticket);
    expect(() => PLAIN_CODEC.openStep(step, "pay", ticket)).toThrow("option encryption is not set");
    expect(PLAIN_CODEC.compare(fingerprint, ticket)).toBe("unreadable");
    expect(PLAIN_CODEC.canSeal(fingerprint)).toBe(false);
  });
});

describe("the encrypted codec", () => {
  it("opens what it has sealed, with the request's own fingerprint", () => {
    const sealed = {
      ...life,
      fingerprint: codec.fingerprint(ticket),
      response: codec.seal(response, ticket),
    };
    expect(sealed.response.body?.includes("paid")).toBe(false);
    expect(codec.open(sealed, ticket)).toEqual({
      ...life,
      fingerprint: ticket.fingerprint,
      response,
    });
  });
});
