/** The refusal of a key in a body, read without a request. */
import { describe, expect, it } from "vitest";
import { readRefusal } from "../../src/retry/error-formats.ts";

describe("a text about a key", () => {
  it.each([
    "dedup window",
    "Nonce already seen",
    "this was a replay",
    "double submission",
    "double-spend",
    "a duplicate",
    "Duplicate.",
    "duplication of an order",
    "duplicated charge",
    "it is still running",
    "in flight",
    "being processed",
    "this was already submitted",
    "it has already been charged",
    "already being handled",
    "an order is pending",
    "outcome of the transaction with this number is outstanding",
    "the given key",
    "a key in use",
    "the token key was used",
    "key reused",
    "key re-used",
    "key exists",
  ])("is recognised: %s", (message) => {
    expect(readRefusal({ message }, 409).isAboutKey).toBe(true);
  });

  it.each([
    "a duplicate email",
    "double room",
    "already gone",
    "the request was wrong. It stays pending",
    "keyboards are out of stock",
    "in stock",
    `${"x".repeat(500)} idempotency`,
  ])("is another text: %s", (message) => {
    expect(readRefusal({ message }, 409).isAboutKey).toBe(false);
  });
});

describe("the text of a service", () => {
  it.each([
    ["title", "A request is outstanding for this Idempotency-Key", "idempotency_in_flight"],
    ["code", "idempotency_key_in_use", "idempotency_in_flight"],
    ["errorCode", "704", "idempotency_in_flight"],
    ["issue", "PREVIOUS_REQUEST_IN_PROGRESS", "idempotency_in_flight"],
    ["code", "IDEMPOTENCY_CONCURRENT_REQUEST", "idempotency_in_flight"],
    ["code", "operation_in_progress", "idempotency_in_flight"],
    ["title", "Idempotency-Key is already used", "idempotency_conflict"],
    ["type", "idempotency_error", "idempotency_conflict"],
    ["code", "IDEMPOTENCY_KEY_REUSED", "idempotency_conflict"],
    ["issue", "PAYPAL_REQUEST_ID_PREVIOUSLY_USED", "idempotency_conflict"],
    ["code", "IDEMPOTENCY_KEY_PARAMETER_MISMATCH", "idempotency_conflict"],
    ["type", "idempotency_key_already_used_error", "idempotency_outcome_unknown"],
    ["name", "DUPLICATE_REQUEST_ID", "idempotency_outcome_unknown"],
    ["code", "operation_uncertain", "idempotency_outcome_unknown"],
    ["code", "operation_abandoned", "idempotency_outcome_unknown"],
    ["code", "operation_disputed", "idempotency_outcome_unknown"],
    ["reason", "operation_result_unavailable", "idempotency_outcome_unknown"],
    ["title", "Idempotency-Key is missing", "idempotency_key_required"],
    ["error", "IDEMPOTENCY_KEY_REQUIRED", "idempotency_key_required"],
    ["code", "704", undefined],
  ])("in %s, %s, mean %s", (member, words, code) => {
    expect(readRefusal({ [member]: words }, 409).code).toBe(code);
  });

  it("do not count if the service itself allows a new key", () => {
    const body = { code: "operation_abandoned", safe_new_key: true };
    expect(readRefusal(body, 409)).toMatchObject({ code: undefined, isAboutKey: false });
    const worded = { message: "duplicate request", safe_new_key: true };
    expect(readRefusal(worded, 409).isAboutKey).toBe(false);
    expect(readRefusal({ ...worded, safe_new_key: false }, 409).isAboutKey).toBe(true);
  });
});

describe("the code of a refusal", () => {
  it.each<[string, unknown, string | undefined]>([
    ["in camel case", { code: "operationInProgress" }, "idempotency_in_flight"],
    [
      "with signs between its words",
      { title: "Idempotency-Key -- is missing" },
      "idempotency_key_required",
    ],
    [
      "six members down",
      { a: { b: { c: { d: { e: { f: { code: "operation_uncertain" } } } } } } },
      "idempotency_outcome_unknown",
    ],
    [
      "deeper than a service would put it",
      { a: { b: { c: { d: { e: { f: { g: { code: "operation_uncertain" } } } } } } } },
      undefined,
    ],
    [
      "in a member whose name only ends like one of a code",
      { subtype: "operation_uncertain" },
      undefined,
    ],
    [
      "in a member whose name only begins like one of a code",
      { typeName: "operation_uncertain" },
      undefined,
    ],
    ["in words within a longer text", { code: "operation_uncertain_today" }, undefined],
  ])("%s", (_name, body, code) => {
    expect(readRefusal(body, 409).code).toBe(code);
  });

  it.each<[string, unknown, string | undefined]>([
    [
      "is not what the data of a success calls its code",
      { code: "idempotency_in_flight" },
      undefined,
    ],
    [
      "nor a title within that data",
      { data: { book: { title: "Idempotency key required" } } },
      undefined,
    ],
    ["nor one of a list of records", [{ errors: [{ code: "IDEMPOTENCY_KEY_IN_USE" }] }], undefined],
    [
      "nor one far down in the data",
      { a: { b: { c: { errors: [{ code: "IDEMPOTENCY_KEY_IN_USE" }] } } } },
      undefined,
    ],
    [
      "nor in a member that only ends like errors",
      { formErrors: [{ code: "IDEMPOTENCY_KEY_IN_USE" }] },
      undefined,
    ],
    [
      "nor in a member that only begins like errors",
      { errorsSeen: [{ code: "IDEMPOTENCY_KEY_IN_USE" }] },
      undefined,
    ],
    [
      "and is read from the errors of a success",
      { errors: [{ code: "IDEMPOTENCY_KEY_IN_USE" }] },
      "idempotency_in_flight",
    ],
    [
      "and from the errors of one mutation of GraphQL",
      { data: { pay: { userErrors: [{ code: "IDEMPOTENCY_KEY_IN_USE" }] } } },
      "idempotency_in_flight",
    ],
  ])("%s", (_name, body, code) => {
    expect(readRefusal(body, 200, true).code).toBe(code);
  });
});

describe("the details of a refusal", () => {
  it.each<[string, unknown, object]>([
    ["prefer the detail as message", { detail: "D", message: "M", title: "T" }, { message: "D" }],
    ["take the message before the title", { message: "M", title: "T" }, { message: "M" }],
    [
      "take the title if there is nothing else",
      { title: "T", error: { message: "M" } },
      { message: "T" },
    ],
    [
      "name the status if no text does",
      { error: "E", detail: 7 },
      { message: "The server answered with status 409" },
    ],
    [
      "have the original status if it is a number",
      { originalStatus: 402 },
      { originalStatus: 402 },
    ],
    ["and no other", { originalStatus: "402" }, { originalStatus: undefined }],
    [
      "promise a time only in a problem of the contract",
      { code: "x", retryable: true },
      { hasRetryTime: false },
    ],
    ["and only if it is retryable", { code: "idempotency_in_flight" }, { hasRetryTime: false }],
    ["which names one", { code: "idempotency_in_flight", retryable: true }, { hasRetryTime: true }],
  ])("%s", (_name, body, details) => {
    expect(readRefusal(body, 409)).toMatchObject(details);
  });
});
