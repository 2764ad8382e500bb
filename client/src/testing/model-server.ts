/** An in-memory server that honours the contract, for the handlers of msw 2 and 3 and for tests without msw. */
import { IDEMPOTENCY_KEY } from "@oncekey/shared";
import { accept, checkOptions, integer, oneOf } from "../validation/check.ts";
import { checkFault, cutOff } from "./fault.ts";
import type { Fault } from "./fault.ts";
import { takeIn } from "./intake.ts";
import { assertOneEffectPerKey } from "./ledger.ts";
import type { Effect } from "./ledger.ts";
import { refuse } from "./reply.ts";
import { createRoute } from "./route.ts";

/** The argument that a protected resolver needs at least. */
export interface Asked {
  readonly request: Request;
}

/** A resolver of msw: the function that `http.post` takes. */
export type Resolver<Info extends Asked> = (info: Info) => Response | Promise<Response>;

/** The argument of an msw resolver without its own types for the path or the body. */
export interface ResolverInfo extends Asked {
  /** The named parts of the path. */
  readonly params: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly cookies: Readonly<Record<string, string>>;
}

/** Options of {@link createModelServer}, named and defaulted as the server's are. */
export interface ModelServerOptions {
  /**
   * Whether a request without a key is refused with 400.
   *
   * @default true
   */
  readonly required?: boolean | undefined;
  /**
   * Same key, different request: the original response with a mark (`'replay'`), or 422 (`'reject'`).
   *
   * @default 'replay'
   */
  readonly mismatch?: "replay" | "reject" | undefined;
  /**
   * A duplicate of a running request: held until the first ends (`'wait'`), or 409 at once (`'reject'`).
   *
   * @default 'wait'
   */
  readonly inFlight?: "wait" | "reject" | undefined;
  /**
   * Longest wait of a duplicate before it gets 409, in ms.
   *
   * @range 0–120_000
   * @default 10_000
   */
  readonly waitMs?: number | undefined;
  /**
   * Retention of a stored response, in ms.
   *
   * @range 1_000–31_622_400_000
   * @default 86_400_000 (24 h)
   */
  readonly retentionMs?: number | undefined;
  /**
   * Time for which a key runs nothing, in ms. Counted like `retentionMs` and never shorter. Between the two a repeat gets 410.
   *
   * @range 1_000–31_622_400_000
   * @default 2_592_000_000 (30 days, or `retentionMs` if that is longer)
   */
  readonly fenceMs?: number | undefined;
}

/** A request to a protected route. */
export interface ReceivedRequest {
  /** The value of `Idempotency-Key` as sent; `null` if the header was missing. */
  readonly key: string | null;
  readonly method: string;
  readonly path: string;
  readonly fault: Fault;
}

/** The return value of {@link createModelServer}. Its functions need no `this`. */
export interface ModelServer {
  /**
   * Protects an msw resolver: it runs once per key, and its response is stored and replayed. A 5xx or a status that is not final,
   * such as 401, is not stored, and the key stays free.
   *
   * @example
   * http.post("/api/orders", server.protect(() => HttpResponse.json({ id: 1 }, { status: 201 })))
   */
  readonly protect: <Info extends Asked = ResolverInfo>(
    resolver: Resolver<Info>,
  ) => (info: Info) => Promise<Response>;
  /** Returns a `fetch` that answers every request with the protected resolver, for tests without msw. */
  readonly fetch: (resolver: Resolver<Asked>) => typeof globalThis.fetch;
  /**
   * Sets the faults of the next requests, one each, after those still left of an earlier script.
   *
   * @throws TypeError that names an unknown fault.
   */
  readonly script: (...faults: Fault[]) => void;
  /** Every effect so far, in order. */
  readonly effects: readonly Effect[];
  /** Every request so far, in order, including those that did not arrive. */
  readonly requests: readonly ReceivedRequest[];
  /** @throws Error that lists every key with more than one effect. */
  readonly assertOneEffectPerKey: () => void;
  /** Forgets every key, as the end of `fenceMs` does: a later retry runs again. */
  readonly expire: () => void;
  /** Forgets all records, effects, requests and scripted faults. */
  readonly reset: () => void;
}

/**
 * Creates a server that honours the contract, for tests of a page.
 *
 * @throws TypeError or RangeError that names a wrong option and what is allowed.
 */
export function createModelServer(options: ModelServerOptions = {}): ModelServer {
  checkOptions(options, CHECKS, "");
  const { required = true, mismatch = "replay", inFlight = "wait" } = options;
  const { waitMs = 10_000, retentionMs = 24 * 3_600_000 } = options;
  const { fenceMs = Math.max(30 * 24 * 3_600_000, retentionMs) } = options;
  if (fenceMs < retentionMs)
    throw new RangeError(`fenceMs must be at least retentionMs (${retentionMs}), got ${fenceMs}`);
  const script: Fault[] = [];
  const effects: Effect[] = [];
  const requests: ReceivedRequest[] = [];
  const settings = { mismatch, waitMs: inFlight === "wait" ? waitMs : 0, retentionMs, fenceMs };
  const route = createRoute(settings, (effect) => effects.push(effect));

  const answer = async (request: Request, run: () => Response | Promise<Response>) => {
    const key = request.headers.get(IDEMPOTENCY_KEY);
    const fault = script.shift() ?? "none";
    const { method, url } = request;
    requests.push({ key, method, path: new URL(url).pathname, fault });
    if (fault === "unreachable") return Response.error();
    const asked = await takeIn(request, required);
    const acknowledgement = { key: asked.key, lifetimeMs: fenceMs };
    if (asked.kind === "refused") return refuse(asked.code, asked.detail, acknowledgement);
    const reply = await route.answer(asked, fault, run);
    if (fault === "reply-lost") return Response.error();
    return fault === "cut-off" ? cutOff(reply) : reply;
  };

  return Object.freeze({
    protect<Info extends Asked>(resolver: Resolver<Info>) {
      return (info: Info) => answer(info.request, () => resolver(info));
    },
    fetch(resolver: Resolver<Asked>): typeof globalThis.fetch {
      return async (input, init) => {
        const request = new Request(input, init);
        const response = await answer(request, () => resolver({ request }));
        if (response.type === "error") throw new TypeError("Failed to fetch");
        return response;
      };
    },
    script(...faults: Fault[]) {
      for (const fault of faults) checkFault(fault);
      script.push(...faults);
    },
    effects,
    requests,
    assertOneEffectPerKey: () => assertOneEffectPerKey(effects),
    expire: () => route.forget(),
    reset() {
      route.forget();
      for (const list of [script, effects, requests]) list.length = 0;
    },
  });
}

const CHECKS = {
  required: accept((value) => typeof value === "boolean", "true or false"),
  mismatch: oneOf("replay", "reject"),
  inFlight: oneOf("wait", "reject"),
  waitMs: integer(0, 120_000),
  retentionMs: integer(1_000, 31_622_400_000),
  fenceMs: integer(1_000, 31_622_400_000),
};
