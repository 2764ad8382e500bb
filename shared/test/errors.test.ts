import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import {
  createError,
  createProblem,
  errorToProblem,
  IdempotencyError,
  isIdempotencyError,
  isProblemCode,
  KeyConflictError,
  ResponseNotStoredError,
  parseProblem,
  PROBLEMS,
  problemToError,
} from "../src/index.ts";
import type { ErrorCode, NextAction, ProblemCode } from "../src/index.ts";

const CODES = Object.keys(PROBLEMS).filter(isProblemCode);

describe("the table of problems", () => {
  const table: [ProblemCode, number, boolean, NextAction][] = [
    ["idempotency_key_required", 400, false, "fix"],
    ["idempotency_key_invalid", 400, false, "fix"],
    ["idempotency_not_found", 404, false, "resume"],
    ["idempotency_in_flight", 409, true, "wait"],
    ["idempotency_conflict", 422, false, "rotate"],
    ["idempotency_key_expired", 412, false, "fix"],
    ["idempotency_outcome_unknown", 500, false, "fix"],
    ["idempotency_response_not_stored", 410, false, "fix"],
    ["idempotency_unavailable", 503, true, "wait"],
  ];

  it.each(table)("has %s with status %d, retryable %s: %s", (code, ...kind) => {
    const { status, retryable, nextAction } = PROBLEMS[code];
    expect([status, retryable, nextAction]).toEqual(kind);
    expect(Object.isFrozen(PROBLEMS[code])).toBe(true);
  });

  it.each([
    [undefined, "fix"],
    [201, "fix"],
    [303, "fix"],
    [402, "rotate"],
    [500, "rotate"],
  ])(
    "advises a new key after a response that is not stored only if it refused: %s",
    (originalStatus, nextAction) => {
      expect(new ResponseNotStoredError("gone", { originalStatus })).toMatchObject({ nextAction });
    },
  );

  it("has no other codes, and cannot be changed", () => {
    expect(CODES.toSorted()).toEqual(table.map(([code]) => code).toSorted());
    expect(Object.isFrozen(PROBLEMS)).toBe(true);
  });

  it("writes a problem as RFC 9457 has it, with the code in its type", () => {
    expect(
      createProblem("idempotency_in_flight", { detail: "The first one still runs" }),
    ).toStrictEqual({
      type: "urn:oncekey:problem:idempotency_in_flight",
      title: "The first request with this key still runs",
      status: 409,
      detail: "The first one still runs",
      code: "idempotency_in_flight",
      retryable: true,
    });
  });
});

describe("problem to error and back", () => {
  it.each(CODES)("is the same problem again: %s", (code) => {
    const originalStatus = code === "idempotency_response_not_stored" ? 201 : undefined;
    const problem = createProblem(code, { detail: "Something happened", originalStatus });
    const overTheWire = parseProblem(JSON.parse(JSON.stringify(problem)));
    expect(overTheWire).toEqual(problem);
    const error = problemToError(problem, { key: "k", retryAfterMs: 1000 });
    expect(error).toMatchObject({
      code,
      status: problem.status,
      retryable: problem.retryable,
      key: "k",
      retryAfterMs: 1000,
    });
    expect(error.nextAction).toBe(PROBLEMS[code].nextAction);
    expect(error.name).toBe(error.constructor.name);
    expect(errorToProblem(error)).toEqual(problem);
  });

  it("uses a class of its own for the codes that add a field, and the base for all others", () => {
    const owned = new Map<ErrorCode, unknown>([
      ["idempotency_conflict", KeyConflictError],
      ["idempotency_response_not_stored", ResponseNotStoredError],
    ]);
    for (const code of CODES) {
      const error = problemToError(createProblem(code, { detail: "" }));
      expect(error.constructor, code).toBe(owned.get(code) ?? IdempotencyError);
      expect(isIdempotencyError(error, code)).toBe(true);
    }
  });

  it("takes the base for a code of a later version", () => {
    const error = createError("later", "idempotency_later" as ErrorCode, { key: "k" });
    expect(error.constructor).toBe(IdempotencyError);
    expect(error).toMatchObject({ message: "later", code: "idempotency_later", key: "k" });
  });

  it("uses the base URI that it is given", () => {
    const error = new IdempotencyError("still running", "idempotency_in_flight");
    expect(errorToProblem(error, "https://a.example/p/")?.type).toBe(
      "https://a.example/p/idempotency_in_flight",
    );
    expect(errorToProblem(error)?.type).toBe("urn:oncekey:problem:idempotency_in_flight");
  });

  it("makes no problem of what no server sends", () => {
    expect(errorToProblem(new IdempotencyError("timed out", "outcome_unknown"))).toBeUndefined();
    expect(errorToProblem(new IdempotencyError("not kept", "input_required"))).toBeUndefined();
    expect(
      errorToProblem(new IdempotencyError("declined", undefined, { status: 402 })),
    ).toBeUndefined();
  });
});

describe("parseProblem", () => {
  it.each([undefined, null, "text", 7, [], {}, { code: "card_declined" }, { code: "toString" }])(
    "finds none in %j",
    (body) => {
      expect(parseProblem(body)).toBeUndefined();
    },
  );

  it("fills in what is missing or of the wrong type", () => {
    expect(parseProblem({ code: "idempotency_in_flight", status: "409", retryable: 1 })).toEqual({
      type: "urn:oncekey:problem:idempotency_in_flight",
      title: PROBLEMS.idempotency_in_flight.title,
      detail: PROBLEMS.idempotency_in_flight.title,
      status: 409,
      code: "idempotency_in_flight",
      retryable: true,
    });
  });
});

describe("an error", () => {
  it("of the application has no code, and keeps its status, its body and its cause", () => {
    const cause = new Error("why");
    const error = new IdempotencyError("declined", undefined, {
      status: 402,
      problem: { card: 1 },
      cause,
    });
    expect(error).toMatchObject({
      code: undefined,
      status: 402,
      problem: { card: 1 },
      retryable: false,
      nextAction: "rotate",
      cause,
    });
  });

  it("of an unknown outcome is to be resumed with the same key", () => {
    expect(new IdempotencyError("timed out", "outcome_unknown")).toMatchObject({
      code: "outcome_unknown",
      retryable: true,
      nextAction: "resume",
    });
  });

  it("of a conflict can carry the first operation's response", () => {
    const original = { status: 201, body: { id: 1 } };
    expect(new KeyConflictError("other", { original }).original).toBe(original);
  });
});

describe("isIdempotencyError", () => {
  const folders: string[] = [];
  afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

  it("understands the errors of another copy of the package, where instanceof does not", async () => {
    const folder = await mkdtemp(join(tmpdir(), "oncekey-copy-"));
    folders.push(folder);
    await cp(fileURLToPath(new URL("../src", import.meta.url)), folder, { recursive: true });
    const entry = pathToFileURL(join(folder, "index.ts")).href;
    const copy = (await import(/* @vite-ignore */ entry)) as typeof import("../src/index.ts");
    const theirs: unknown = new copy.IdempotencyError("still running", "idempotency_in_flight");
    expect(theirs instanceof IdempotencyError).toBe(false);
    expect(isIdempotencyError(theirs)).toBe(true);
    expect(isIdempotencyError(theirs, "idempotency_in_flight")).toBe(true);
    expect(isIdempotencyError(theirs, "idempotency_conflict")).toBe(false);
    expect(
      copy.isIdempotencyError(
        new IdempotencyError("still running", "idempotency_in_flight"),
        "idempotency_in_flight",
      ),
    ).toBe(true);
  });

  it.each([undefined, null, "error", new Error("other"), { code: "idempotency_in_flight" }])(
    "is not fooled by %s",
    (value) => {
      expect(isIdempotencyError(value)).toBe(false);
    },
  );
});
