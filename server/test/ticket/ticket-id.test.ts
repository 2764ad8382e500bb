import { describe, expect, it } from "vitest";
import { deriveKey } from "../../src/ticket/derive-key.ts";
import { scopePrefix, ticketId } from "../../src/ticket/ticket-id.ts";

const ticket = { scope: "ada", target: "POST /orders", key: "k1" };

describe("the id of a ticket", () => {
  it("differs if a part ends elsewhere", () => {
    const ids = [
      { scope: "a", target: "bc", key: "d" },
      { scope: "ab", target: "c", key: "d" },
      { scope: "a", target: "b", key: "cd" },
    ].map(ticketId);
    expect(new Set(ids).size).toBe(3);
  });

  it("begins with its scope, and with no other", () => {
    expect(ticketId(ticket).startsWith(scopePrefix("ada"))).toBe(true);
    expect(ticketId(ticket).startsWith(scopePrefix("ad"))).toBe(false);
  });
});

describe("a derived key", () => {
  it("differs by its name and by each part of the record", () => {
    const others = [
      ticket,
      { ...ticket, scope: "bob" },
      { ...ticket, target: "POST /x" },
      { ...ticket, key: "k2" },
    ];
    const keys = others.flatMap((one) => [deriveKey(one, "charge"), deriveKey(one, "mail")]);
    expect(new Set(keys).size).toBe(8);
  });

  // Another value would repeat a payment at the other service after an upgrade.
  it("keeps the value that it has always had", () => {
    expect(deriveKey(ticket, "charge")).toBe("ebcbe281-b647-533d-98cb-6bd897fc630c");
  });
});
