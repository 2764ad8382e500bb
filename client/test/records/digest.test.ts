import { describe, expect, it, vi } from "vitest";
import { createRecordNames, digest } from "../../src/records/record-names.ts";

/** Number of bits that differ between two digests. */
function distance(one: string, other: string): number {
  const differing = BigInt(`0x${one}`) ^ BigInt(`0x${other}`);
  return differing.toString(2).replaceAll("0", "").length;
}

describe("digest", () => {
  it("is 32 letters, the same for the same text or bytes", () => {
    for (const content of ["", "a", "ä€😀", new Uint8Array([0, 255])]) {
      expect(digest(content)).toMatch(/^[0-9a-f]{32}$/);
      expect(digest(content)).toBe(digest(content));
    }
    // Stored names depend on it: another value would lose what is pending.
    expect(digest('["order","cart-1"]')).toMatchInlineSnapshot(
      `"5f450f64c8599e3df5da5a3a7b9ca423"`,
    );
    expect(digest(new Uint8Array([1, 2, 3]))).toMatchInlineSnapshot(
      `"aa169d0921806b11f74d4febc2176b11"`,
    );
  });

  it("has no collision among 50,000 carts that differ little, not even in half of it", () => {
    const count = 50_000;
    const halves = [new Set<string>(), new Set<string>()];
    for (let id = 0; id < count; id += 1) {
      const hash = digest(JSON.stringify({ id, lines: [{ sku: id % 7, amount: id % 3 }] }));
      halves[0]?.add(hash.slice(0, 16));
      halves[1]?.add(hash.slice(16));
    }
    expect(halves.map(({ size }) => size)).toEqual([count, count]);
  });

  it("changes about half of its bits if one bit of the content changes, wherever it is", () => {
    const text = JSON.stringify({ id: "cart-1", lines: ["apple", "pear"], note: "x".repeat(64) });
    const plain = digest(text);
    const distances = Array.from({ length: text.length * 7 }, (_, bit) => {
      const at = Math.floor(bit / 7);
      const changed = String.fromCharCode(text.charCodeAt(at) ^ (1 << (bit % 7)));
      return distance(plain, digest(text.slice(0, at) + changed + text.slice(at + 1)));
    });
    const mean = distances.reduce((sum, one) => sum + one, 0) / distances.length;
    expect(mean).toBeGreaterThan(62);
    expect(mean).toBeLessThan(66);
    expect(Math.min(...distances)).toBeGreaterThan(32);
  });

  it("depends on length and order: zeros, repeated and swapped letters", () => {
    const contents = [
      ...Array.from({ length: 300 }, (_, length) => new Uint8Array(length)),
      ...Array.from({ length: 300 }, (_, length) => "a".repeat(length + 1)),
      "ab",
      "ba",
      "aab",
      "aba",
      "baa",
    ];
    expect(new Set(contents.map(digest)).size).toBe(contents.length);
  });
});

describe("the names of records", () => {
  const names = createRecordNames(() => "shop");

  // Another name would lose what is pending.
  it("are marked, and have a part for the API, the owner and the instance each", () => {
    const [mark, api, owner, instance] = names.nameOf("ann", "order", "cart-1").split(":");
    expect(mark).toBe("oncekey");
    expect(api).toBe(digest('["shop"]').slice(0, 16));
    expect(owner).toBe(digest('["ann"]').slice(0, 16));
    expect(instance).toBe(digest('["order","cart-1"]'));
  });

  it("begin with those of their owner, whose begin with that of the API", () => {
    for (const owner of [undefined, "ann"]) {
      expect(names.nameOf(owner, "order", "cart-1").startsWith(names.prefixOf(owner))).toBe(true);
      expect(names.prefixOf(owner).startsWith(names.prefix())).toBe(true);
      expect(names.prefixOf(owner)).toMatch(/:$/);
    }
  });

  it("differ by owner, and no owner is not the owner of any name", () => {
    const owners = [undefined, "", "0", "undefined", "null", "ann"];
    expect(new Set(owners.map(names.prefixOf)).size).toBe(owners.length);
  });

  it("ask for the API when the first one is needed, and once", () => {
    const namespaceOf = vi.fn(() => "shop");
    const late = createRecordNames(namespaceOf);
    expect(namespaceOf).not.toHaveBeenCalled();
    expect(late.prefix()).toBe(names.prefix());
    late.prefixOf("ann");
    expect(namespaceOf).toHaveBeenCalledOnce();
  });
});
