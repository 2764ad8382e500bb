/** A server that honours the contract, in memory, for msw's handlers and for whatever else answers a `Request`. */
import { IDEMPOTENCY_KEY } from "@oncekey/shared";
import { accept, checkOptions, integer, oneOf } from "../validation/check.ts";
import { checkFault, cutOff } from "./fault.ts";
import type { Fault } from "./fault.ts";
import { takeIn } from "./intake.ts";
import { assertOneEffectPerKey } from "./ledger.ts";
import type { Effect } from "./ledger.ts";
import { refuse } from "./reply.ts";
import { createRoute } from "./route.ts";

/** All that a protected resolver needs to be asked with. */
export interface Asked {
  readonly request: Request;
}

/** What answers a request, as msw has it: the function that `http.post` takes. */
export type Resolver<Info extends Asked> = (info: Info) => Response | Promise<Response>;

/** What a resolver of msw's is given, where nothing more is said of the path or the body. */
export interface ResolverInfo extends Asked {
  /** The parts of the path that have a name. */
  readonly params: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly cookies: Readonly<Record<string, string>>;
}

/** Options of {@link createModelServer}, named and defaulted as the server's are. */
export interface ModelServerOptions {
  /** Whether a request without a key is refused with 400. Default `true`. */
  readonly required?: boolean;
  /** Same key, other request: the original response with a mark (`'replay'`, default), or 422 (`'reject'`). */
  readonly mismatch?: "replay" | "reject";
  /** A duplicate while the first runs: held until that has ended (`'wait'`, default), or 409 at once (`'reject'`). */
  readonly inFlight?: "wait" | "reject";
  /** Milliseconds for which a duplicate is held, 0–120_000; then 409. Default 10_000. */
  readonly waitMs?: number;
  /** Milliseconds for which a stored response is replayed, 1_000–31_622_400_000. Default 24 h. */
  readonly retentionMs?: number;
}

/** A request that came to a protected route. */
export interface ReceivedRequest {
  /** The value of `Idempotency-Key`, as it was sent; `null` where there was none. */
  readonly key: string | null;
  readonly method: string;
  readonly path: string;
  readonly fault: Fault;
}

/** What {@link createModelServer} makes. Its functions need no `this`. */
export interface ModelServer {
  /**
   * Protects a resolver of msw's: it runs once for a key, and its response is stored and replayed. A 5xx, and a status that says
   * nothing final such as 401, is not kept, and the key stays free.
   *
   * @example
   * http.post("/api/orders", server.protect(() => HttpResponse.json({ id: 1 }, { status: 201 })))
   */
  readonly protect: <Info extends Asked = ResolverInfo>(
    resolver: Resolver<Info>,
  ) => (info: Info) => Promise<Response>;
  /** The same as a `fetch`, for `createClient` and tests without msw: whatever it is asked for, the resolver answers. */
  readonly fetch: (resolver: Resolver<Asked>) => typeof globalThis.fetch;
  /**
   * What is to happen to the next requests to come, one after the other; after the last one nothing does. Adds to what is left of
   * an earlier script.
   *
   * @throws TypeError that names what is no fault.
   */
  readonly script: (...faults: Fault[]) => void;
  /** Every effect so far, in order. */
  readonly effects: readonly Effect[];
  /** Every request so far, in order, those that did not arrive too. */
  readonly requests: readonly ReceivedRequest[];
  /** @throws Error that lists every key with more than one effect. */
  readonly assertOneEffectPerKey: () => void;
  /** Forgets every stored response, as the end of their retention does: a retry after that runs again. */
  readonly expire: () => void;
  /** Forgets everything: records, effects, requests and what is left of the script. */
  readonly reset: () => void;
}

/**
 * Makes a server that honours the contract, for tests of a page.
 *
 * @throws TypeError or RangeError that names a wrong option and what is allowed.
 */
export function createModelServer(options: ModelServerOptions = {}): ModelServer {
  checkOptions(options, CHECKS, "");
  const { required = true, mismatch = "replay", inFlight = "wait" } = options;
  const { waitMs = 10_000, retentionMs = 24 * 3_600_000 } = options;
  const script: Fault[] = [];
  const effects: Effect[] = [];
  const requests: ReceivedRequest[] = [];
  const settings = { mismatch, waitMs: inFlight === "wait" ? waitMs : 0, retentionMs };
  const route = createRoute(settings, (effect) => effects.push(effect));

  const answer = async (request: Request, run: () => Response | Promise<Response>) => {
    const key = request.headers.get(IDEMPOTENCY_KEY);
    const fault = script.shift() ?? "none";
    const { method, url } = request;
    requests.push({ key, method, path: new URL(url).pathname, fault });
    if (fault === "unreachable") return Response.error();
    const asked = await takeIn(request, required);
    const acknowledgement = { key: asked.key, lifetimeMs: retentionMs };
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
};
