/** A shop whose server keeps the contract, behind a network and gateways that do not. */
import {
  byGateway,
  cutOff,
  echo,
  json,
  page,
  problem,
  redirected,
  RETENTION_MS,
  text,
} from "./answers.ts";
import type { GatewayFault } from "./answers.ts";
import type { Content } from "./ledger.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** Faults of one request: on its way, at the server, or on the way of the reply. */
export const FAULTS = [
  "none",
  "request lost",
  "request late",
  "reply lost",
  "reply cut off",
  "reply slow",
  "reply late",
  "reply replaced by a page",
  "reply replaced by 504",
  "portal page",
  "login redirect",
  "gateway is busy",
  "stub answers",
  "not signed in",
  "declined",
  "handler fails",
  "handler is slow",
  "server restarts",
  "key of another caller",
] as const;
export type Fault = (typeof FAULTS)[number] | GatewayFault;

export interface ShopRules {
  /** The answer to another body under a stored key. */
  readonly mismatch: "replay" | "reject";
  /** Whether keys older than the retention are refused. */
  readonly refusesOldKeys: boolean;
  /**
   * Whether the client knows that this server echoes keys (`server: 'oncekey'`). Without it, an API may decline in JSON without the
   * echo, so no gateway of that history does.
   */
  readonly isOncekey: boolean;
  /** Whether this server never echoes a key and never names its lifetime. One that runs the plugin always does. */
  readonly isSilent: boolean;
}

/** Callbacks for what the server does. */
export interface ShopLog {
  /** @param value the stored response, in the transaction of the charge. */
  charged(key: string, content: Content, value: unknown): void;
  /**
   * The key has a stored response from now on.
   *
   * @param foreign the response's value, if another caller used the key before.
   */
  stored(key: string, foreign?: unknown): void;
  /** The only request under the key was refused before the server looked at the key. */
  refused(key: string): void;
}

export interface ShopServer {
  /** Answers one request, or rejects as a dead connection does. */
  readonly fetch: (headers: Headers, body: string, content: Content) => Promise<Response>;
  /** Refuses every connection for some milliseconds. Uncommitted work is lost. */
  readonly goDown: (ms: number) => void;
  /** Ends all faults. */
  readonly heal: () => void;
}

const HANDLER_MS = 100;
const SLOW_HANDLER_MS = 9_000;
const SLOW_REPLY_MS = 2_000;
/** Longer than an attempt, shorter than a run. */
const LATE_MS = 12_000;

interface StoredResponse {
  readonly status: number;
  readonly value: unknown;
  /** The request that it answers. */
  readonly text: string;
  readonly expiresAt: number;
}

interface Arrival {
  readonly key: string;
  readonly content: Content;
  readonly text: string;
  readonly onlyIfStored: boolean;
  readonly fault: Fault;
}

type Reply = (response: Response | "the connection died") => void;

/** Answers of what stands in front of the server: the request does not arrive. */
const IN_FRONT: { readonly [Name in Fault]?: (rules: ShopRules) => Response } = {
  "portal page": () => page(200),
  "login redirect": () => redirected(page(200)),
  "gateway is busy": () => page(503),
  // Other clients take JSON without the echo as an answer of the API.
  "stub answers": ({ isOncekey }) => (isOncekey ? json(200, { status: "ok" }) : page(200)),
  "not signed in": () => json(401, { error: "sign in" }),
};

const ON_THE_WAY_BACK: { readonly [Name in Fault]?: (response: Response) => Response } = {
  "reply replaced by 504": () => text(504, "gave up"),
  "reply replaced by a page": () => page(200),
  "reply cut off": cutOff,
};

const DELAYS_MS: { readonly [Name in Fault]?: number } = {
  "reply slow": SLOW_REPLY_MS,
  "reply late": LATE_MS,
};

const ECHO = Object.keys(echo(""));

/** The value of another caller's response. */
const ANOTHER = { order: "another" };

const RETRY_LATER = { "retry-after": "1" };

export function createShopServer(
  time: VirtualTime,
  rules: ShopRules,
  faults: readonly Fault[],
  log: ShopLog,
): ShopServer {
  const records = new Map<string, StoredResponse>();
  const running = new Set<string>();
  /** Number of requests under each key. */
  const requests = new Map<string, number>();
  const ahead = [...faults];
  let downUntil = 0;
  let restarts = 0;
  let orders = 0;

  const find = (key: string) => {
    const record = records.get(key);
    return record === undefined || record.expiresAt <= time.now() ? undefined : record;
  };
  const store = (key: string, body: string, status: number, value: unknown): void => {
    records.set(key, { status, value, text: body, expiresAt: time.now() + RETENTION_MS });
  };

  function handle(arrival: Arrival, reply: Reply): void {
    const { key, onlyIfStored, fault } = arrival;
    if (time.now() < downUntil) return reply("the connection died");
    const refusal = IN_FRONT[fault]?.(rules) ?? byGateway(fault, rules.isOncekey);
    if (refusal !== undefined) {
      if (requests.get(key) === 1) log.refused(key);
      return reply(refusal);
    }
    // Only a key that another caller used before is not taken for one of the client's own requests.
    if (fault === "key of another caller" && requests.get(key) === 1) {
      store(key, "another request", 201, ANOTHER);
      log.stored(key, ANOTHER);
    }
    const record = find(key);
    if (record !== undefined) return reply(replay(record, key, arrival.text, rules));
    if (running.has(key)) return reply(problem(409, "idempotency_in_flight", key, RETRY_LATER));
    if (rules.refusesOldKeys && time.now() - mintedAt(key) > RETENTION_MS) {
      // Every later request with this key is refused as well.
      log.stored(key);
      const date = new Date(time.now()).toUTCString();
      return reply(problem(412, "idempotency_key_expired", key, { date }));
    }
    if (onlyIfStored) return reply(problem(404, "idempotency_not_found", key));
    running.add(key);
    const lives = restarts;
    time.after(fault === "handler is slow" ? SLOW_HANDLER_MS : HANDLER_MS, () => {
      if (restarts === lives) return finish(arrival, reply);
      return reply("the connection died");
    });
    if (fault === "server restarts") time.after(HANDLER_MS / 2, restart);
  }

  function finish({ key, content, text: body, fault }: Arrival, reply: Reply): void {
    running.delete(key);
    if (fault === "handler fails") return reply(json(500, { error: "oops" }, echo(key)));
    if (fault === "declined") {
      const value = { error: "declined" };
      store(key, body, 402, value);
      log.stored(key);
      return reply(json(402, value, echo(key)));
    }
    orders += 1;
    const value = { order: orders, lines: content.lines };
    log.charged(key, content, value);
    store(key, body, 201, value);
    log.stored(key);
    return reply(json(201, value, echo(key)));
  }

  // Uncommitted work is rolled back.
  function restart(): void {
    restarts += 1;
    running.clear();
  }

  return {
    fetch(headers, body, content) {
      const fault = ahead.shift() ?? "none";
      const key = headers.get("idempotency-key") ?? "none";
      const onlyIfStored = headers.get("idempotency-only-if-stored") === "true";
      requests.set(key, (requests.get(key) ?? 0) + 1);
      const { promise, resolve, reject } = Promise.withResolvers<Response>();
      const arrive = (): void => {
        const arrival = { key, content, text: body, onlyIfStored, fault };
        handle(arrival, deliver(fault, resolve, reject));
      };
      if (fault === "request lost") reject(new TypeError("fetch failed"));
      else if (fault === "request late") time.after(LATE_MS, arrive);
      else arrive();
      return promise;
    },
    goDown(ms) {
      downUntil = time.now() + ms;
      restart();
    },
    heal() {
      downUntil = 0;
      ahead.length = 0;
    },
  };

  function deliver(
    fault: Fault,
    resolve: (response: Response) => void,
    reject: (error: Error) => void,
  ): Reply {
    return (response) => {
      if (response === "the connection died" || fault === "reply lost")
        return reject(new TypeError("fetch failed"));
      if (rules.isSilent && !rules.isOncekey) {
        for (const name of ECHO) response.headers.delete(name);
      }
      const change = ON_THE_WAY_BACK[fault] ?? ((whole: Response) => whole);
      const delayMs = DELAYS_MS[fault];
      if (delayMs === undefined) resolve(change(response));
      else time.after(delayMs, () => resolve(change(response)));
    };
  }
}

function replay(
  record: StoredResponse,
  key: string,
  body: string,
  { mismatch }: ShopRules,
): Response {
  const replayed = { ...echo(key), "idempotent-replayed": "true" };
  if (record.text === body) return json(record.status, record.value, replayed);
  if (mismatch === "reject") return problem(422, "idempotency_conflict", key);
  return json(record.status, record.value, { ...replayed, "idempotency-mismatch": "true" });
}

/** Returns the time that a UUIDv7 carries in its first 48 bits (RFC 9562 §5.7). */
function mintedAt(key: string): number {
  return Number.parseInt(key.slice(0, 8) + key.slice(9, 13), 16);
}
