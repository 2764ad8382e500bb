import { describe, expect, it } from "vitest";
import { lockId } from "../../src/store/lock-id.ts";

const ticket = { key: "k", scope: "s", target: "POST /t", fingerprint: Buffer.alloc(0) };

describe("lock id", () => {
  it("is a signed 64-bit number that stays the same from version to version", () => {
    expect(lockId("oncekey", ticket)).toBe("-3268509214640507198");
  });

  it("differs by schema, scope, target and key, and by where one ends and the next begins", () => {
    const ids = [
      lockId("oncekey", ticket),
      lockId("other", ticket),
      lockId("oncekey", { ...ticket, scope: "s2" }),
      lockId("oncekey", { ...ticket, target: "POST /t2" }),
      lockId("oncekey", { ...ticket, key: "k2" }),
      lockId("oncekey", { ...ticket, scope: "a", target: "bc" }),
      lockId("oncekey", { ...ticket, scope: "ab", target: "c" }),
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });
});
