/** Looks a request up, runs and stores it, or refuses it. */
import { IDEMPOTENT_REPLAYED } from "@oncekey/shared";
import type { ProblemCode } from "@oncekey/shared";
import { pause } from "../wire/timeout.ts";
import type { Fault } from "./fault.ts";
import type { Intake } from "./intake.ts";
import { isKept, toStored } from "./ledger.ts";
import type { Effect, ModelRecord } from "./ledger.ts";
import { acknowledge, gone, refuse, replay } from "./reply.ts";

/** The settings of a model server. */
export interface RouteSettings {
  readonly mismatch: "replay" | "reject";
  /** 0 refuses a duplicate at once. */
  readonly waitMs: number;
  readonly retentionMs: number;
  readonly fenceMs: number;
}

type Keyed = Extract<Intake, { kind: "keyed" }>;
type Asked = Exclude<Intake, { kind: "refused" }>;
type Run = () => Response | Promise<Response>;

export interface Route {
  /** @param run the resolver, called once for a key whose response is stored. */
  answer(asked: Asked, fault: Fault, run: Run): Promise<Response>;
  forget(): void;
}

const DETAILS = {
  idempotency_in_flight: "The first request with this key still runs",
  idempotency_not_found: "Nothing is stored for this key, and nothing was started",
  idempotency_outcome_unknown:
    "The handler of this request failed or did not finish, and what it did is not known",
  idempotency_conflict: "This key was first used for a different request",
  idempotency_key_expired:
    "This key is older than this server takes, or from the future, and nothing is stored for it",
  idempotency_unavailable: "The store cannot be reached; send the request again with the same key",
} as const satisfies Partial<Record<ProblemCode, string>>;

// No request has this fingerprint, so every request differs from it.
const OTHER_CONTENT = "other content";
const IS_ABOUT_EARLIER_COPY: ReadonlySet<Fault> = new Set([
  "replay",
  "in-flight",
  "mismatch",
  "response-not-stored",
]);

interface Model {
  readonly settings: RouteSettings;
  readonly records: Map<string, ModelRecord>;
  readonly onEffect: (effect: Effect) => void;
}

export function createRoute(settings: RouteSettings, onEffect: (effect: Effect) => void): Route {
  const model: Model = { settings, records: new Map(), onEffect };
  return {
    async answer(asked, fault, run) {
      if (fault === "down") return refused(model, "idempotency_unavailable", asked);
      if (asked.kind === "keyless") return perform(model, asked, run);
      return (await prepare(model, asked, fault, run)) ?? answerKeyed(model, asked, run);
    },
    forget: () => model.records.clear(),
  };
}

/** Stores the earlier copy that the fault describes. Returns the copy's own answer if it could not be stored. */
async function prepare(
  model: Model,
  asked: Keyed,
  fault: Fault,
  run: Run,
): Promise<Response | undefined> {
  const { records } = model;
  const id = idOf(asked);
  if (fault === "outcome-unknown") records.set(id, { kind: "closed" });
  else if (fault === "expired") records.set(id, { kind: "too-old" });
  else if (IS_ABOUT_EARLIER_COPY.has(fault)) {
    const reply = find(model, id) === undefined ? await runFirst(model, asked, run) : undefined;
    const record = find(model, id);
    if (record === undefined) return reply;
    if (fault === "in-flight") return refused(model, "idempotency_in_flight", asked);
    if (record.kind !== "stored") return undefined;
    if (fault === "mismatch") records.set(id, { ...record, fingerprint: OTHER_CONTENT });
    if (fault === "response-not-stored") {
      records.set(id, { ...record, response: { ...record.response, bytes: undefined } });
    }
  }
  return undefined;
}

async function answerKeyed(model: Model, asked: Keyed, run: Run): Promise<Response> {
  const { waitMs, mismatch } = model.settings;
  const until = performance.now() + waitMs;
  for (;;) {
    const record = find(model, idOf(asked));
    if (record === undefined) {
      if (asked.onlyIfStored) return refused(model, "idempotency_not_found", asked);
      return runFirst(model, asked, run);
    }
    if (record.kind === "closed") return closed(model, asked);
    if (record.kind === "too-old") {
      const code = asked.onlyIfStored ? "idempotency_not_found" : "idempotency_key_expired";
      return refused(model, code, asked);
    }
    const isMismatch = record.fingerprint !== asked.fingerprint;
    if (isMismatch && mismatch === "reject") return refused(model, "idempotency_conflict", asked);
    if (record.kind === "stored") {
      const { retentionMs, fenceMs } = model.settings;
      const ageMs = Date.now() - record.storedAt;
      const acknowledgement = { key: asked.key, lifetimeMs: fenceMs - ageMs };
      if (ageMs >= retentionMs) return gone(record.response, acknowledgement, isMismatch);
      return replay(record.response, acknowledgement, isMismatch);
    }
    const leftMs = until - performance.now();
    if (asked.onlyIfStored || leftMs <= 0 || !(await endsWithin(record.ended, leftMs))) {
      return refused(model, "idempotency_in_flight", asked);
    }
  }
}

/** Answers as the server does after it noticed the crash. */
function closed(model: Model, asked: Keyed): Response {
  const response = refused(model, "idempotency_outcome_unknown", asked);
  response.headers.set(IDEMPOTENT_REPLAYED, "true");
  return response;
}

/** Runs the first request of a key; duplicates find it running. */
async function runFirst(model: Model, asked: Keyed, run: Run): Promise<Response> {
  const { records } = model;
  const id = idOf(asked);
  const reply = perform(model, asked, run);
  const ended = reply.catch(() => undefined);
  const running: ModelRecord = { kind: "running", fingerprint: asked.fingerprint, ended };
  records.set(id, running);
  try {
    return await reply;
  } finally {
    if (records.get(id) === running) records.delete(id);
  }
}

/** Runs the resolver and stores its response if the status is final. */
async function perform(model: Model, asked: Asked, run: Run): Promise<Response> {
  const response = await run();
  if (isKept(response.status)) {
    if (asked.kind === "keyed") {
      const { fingerprint } = asked;
      const kept = await toStored(response);
      const storedAt = Date.now();
      model.records.set(idOf(asked), { kind: "stored", fingerprint, response: kept, storedAt });
    }
    if (response.status < 400) model.onEffect(effectOf(asked, response.status));
  }
  return acknowledge(response, { key: asked.key, lifetimeMs: model.settings.fenceMs });
}

function find({ records, settings }: Model, id: string): ModelRecord | undefined {
  const record = records.get(id);
  const isOver = record?.kind === "stored" && Date.now() - record.storedAt >= settings.fenceMs;
  return isOver ? undefined : record;
}

function refused({ settings }: Model, code: keyof typeof DETAILS, { key }: Asked): Response {
  return refuse(code, DETAILS[code], { key, lifetimeMs: settings.fenceMs });
}

function idOf({ key, target }: Keyed): string {
  return `${target} ${key}`;
}

function effectOf({ key, target }: Asked, status: number): Effect {
  const [method = "", path = ""] = target.split(" ", 2);
  return { key, method, path, status };
}

async function endsWithin(ended: Promise<unknown>, waitMs: number): Promise<boolean> {
  const controller = new AbortController();
  const hasEnded = await Promise.race([
    ended.then(() => true),
    pause(waitMs, controller.signal).then(() => false),
  ]);
  controller.abort();
  return hasEnded;
}
