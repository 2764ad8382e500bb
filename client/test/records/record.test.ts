/** A record as the storage gives it back: whole, or not at all. */
import { describe, expect, it } from "vitest";
import { withoutBodies } from "../../src/records/record-store.ts";
import {
  candidatesOf,
  hasIdentity,
  keyInLaterRecord,
  parseRecord,
  withCandidates,
} from "../../src/records/record.ts";
import type { OperationRecord } from "../../src/records/record.ts";

const request = { method: "POST", url: "https://shop.example/api/orders", headers: {}, body: "{}" };
const record: OperationRecord = {
  version: 1,
  operation: "order",
  instance: "cart-1",
  identity: "apple",
  key: "key-1",
  createdAt: 1,
  request,
};
const held = [{ identity: "pear", request }];

const read = (changes: object): unknown => parseRecord(JSON.stringify({ ...record, ...changes }));

describe("a stored record", () => {
  it.each<[string, object]>([
    ["an owner", { owner: "ann" }],
    ["other requests under its key", { held }],
    ["a lifetime", { expiresAt: 2 }],
    ["a time until which it is remembered", { settledAt: 2, rememberedUntil: 3 }],
    ["a request without a body", { request: { ...request, body: undefined } }],
    ["bytes as text", { request: { ...request, bytes: "base64" } }],
    ["bytes beside it", { request: { ...request, body: undefined, bytes: "beside" } }],
    ["a sealed body", { request: { ...request, body: undefined, sealedBody: "x" } }],
    ["a body that was left out", { request: { ...request, body: undefined, sealedBody: null } }],
    ["no request, if it is settled", { settledAt: 2, request: undefined }],
    [
      "a held one without a request, if it is settled",
      { settledAt: 2, held: [{ identity: "pear" }] },
    ],
  ])("is read with %s", (_name, changes) => {
    expect(read(changes)).toEqual(JSON.parse(JSON.stringify({ ...record, ...changes })));
  });

  it.each<[string, object]>([
    ["another version", { version: 0 }],
    ["a version that is no number", { version: "2" }],
    ["an owner that is no text", { owner: 1 }],
    ["no operation", { operation: undefined }],
    ["no instance", { instance: undefined }],
    ["no identity", { identity: undefined }],
    ["a key that no server takes", { key: "" }],
    ["no time of its start", { createdAt: undefined }],
    ["a lifetime that is no time", { expiresAt: "2" }],
    ["a settlement that is no time", { settledAt: "2" }],
    ["a remembered time that is none", { rememberedUntil: "2" }],
    ["no request while it is unresolved", { request: undefined }],
    ["a request that is none", { request: "POST" }],
    ["a settled request that is none", { settledAt: 2, request: null }],
    ["a request without a method", { request: { ...request, method: undefined } }],
    ["a request without a URL", { request: { ...request, url: undefined } }],
    ["a request without headers", { request: { ...request, headers: undefined } }],
    ["a body that is no text", { request: { ...request, body: 1 } }],
    ["bytes in an unknown form", { request: { ...request, bytes: "hex" } }],
    ["a sealed body that is no text", { request: { ...request, sealedBody: 1 } }],
    ["held requests that are no list", { held: "pear" }],
    ["a held one without an identity", { held: [{ request }] }],
    ["a held one without its request", { held: [{ identity: "pear" }] }],
  ])("is not read with %s", (_name, changes) => {
    expect(read(changes)).toBeUndefined();
  });

  it.each(["", "{", "null", "1", '"record"', "[]"])("is not read from %j", (text) => {
    expect(parseRecord(text)).toBeUndefined();
  });

  it("of a later release is left alone, and names its key if that is one", () => {
    expect(parseRecord('{"version":2}')).toBe("later");
    expect(keyInLaterRecord('{"version":2,"key":"key-2"}')).toBe("key-2");
    expect(keyInLaterRecord('{"version":2,"key":{"name":"key-2"}}')).toBe("");
  });
});

describe("the requests of a record", () => {
  it("are the one at its head and those that it holds", () => {
    expect(candidatesOf({ ...record, held })).toEqual([{ identity: "apple", request }, ...held]);
    expect(candidatesOf(record)).toEqual([{ identity: "apple", request }]);
  });

  it("make the record again, whose list is left out if it is empty", () => {
    expect(withCandidates(record, [...held, { identity: "apple", request }])).toEqual({
      ...record,
      identity: "pear",
      held: [{ identity: "apple", request }],
    });
    expect(withCandidates({ ...record, held }, held)).toStrictEqual({
      ...record,
      identity: "pear",
      held: undefined,
    });
  });

  it("have the identities under which its key was sent", () => {
    const both = { ...record, held };
    expect(["apple", "pear", "fig"].map((identity) => hasIdentity(both, identity))).toEqual([
      true,
      true,
      false,
    ]);
  });
});

describe("a record without bodies", () => {
  const bare = { method: "POST", url: request.url, headers: {}, body: undefined };

  it.each<[string, object, object | undefined]>([
    ["a text", request, { ...bare, sealedBody: null }],
    ["bytes", { ...request, bytes: "base64" }, { ...bare, sealedBody: null }],
    ["a sealed body", { ...bare, sealedBody: "x" }, { ...bare, sealedBody: null }],
    ["no body", bare, bare],
    ["a body that was left out", { ...bare, sealedBody: null }, { ...bare, sealedBody: null }],
  ])("has lost %s", (_name, full, left) => {
    const whole = { ...record, request: full } as OperationRecord;
    expect(withoutBodies(whole).request).toStrictEqual(left);
  });

  it("has lost those of the requests that it holds", () => {
    const { held: left } = withoutBodies({ ...record, held });
    expect(left).toStrictEqual([{ identity: "pear", request: { ...bare, sealedBody: null } }]);
    expect(withoutBodies({ ...record, request: undefined }).request).toBeUndefined();
  });
});
