/** A shop whose server keeps the contract, and the network before it, which does not keep its promises. */
import type { Content } from "./ledger.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** Fault of one request: on the way there, at the server, or on the way back. */
export const FAULTS = [
  "none",
  "request lost",
  "request late",
  "reply lost",
  "reply cut off",
  "reply late",
  "gateway gives up",
  "gateway is busy",
  "not signed in",
  "declined",
  "handler fails",
  "handler is slow",
  "server restarts",
  "key of somebody else",
] as const;
export type Fault = (typeof FAULTS)[number];

export interface ShopRules {
  /** Answer to a request with other content under the same key. */
  readonly mismatch: "replay" | "reject";
  /** Whether keys older than the retention are refused. */
  readonly refusesOldKeys: boolean;
}

/** Hears what the server gets and does. */
export interface ShopLog {
  /** @param value what it stores as its answer, in the transaction of the charge. */
  charged(key: string, content: Content, value: unknown): void;
  /** Called when the key has an end. */
  stored(key: string): void;
  /** The one request that was sent under the key is refused unseen: that is its end as well, unless it is sent again. */
  refused(key: string): void;
}

export interface ShopServer {
  /** Answers one request, or rejects as a dead connection does. */
  readonly fetch: (headers: Headers, text: string) => Promise<Response>;
  /** Refuses every connection for a time. Uncommitted work is lost. */
  readonly goDown: (ms: number) => void;
  /** Ends all faults. */
  readonly heal: () => void;
}

/** For how long a record is kept. */
export const RETENTION_MS = 24 * 3_600_000;
const HANDLER_MS = 100;
const SLOW_HANDLER_MS = 9_000;
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
  readonly text: string;
  readonly onlyIfStored: boolean;
  readonly fault: Fault;
}

type Reply = (response: Response | "the connection died") => void;

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
  const store = (key: string, text: string, status: number, value: unknown): void => {
    log.stored(key);
    records.set(key, { status, value, text, expiresAt: time.now() + RETENTION_MS });
  };

  function handle(arrival: Arrival, reply: Reply): void {
    const { key, text, onlyIfStored, fault } = arrival;
    if (time.now() < downUntil) return reply("the connection died");
    if (fault === "not signed in") {
      if (requests.get(key) === 1) log.refused(key);
      return reply(answer(401, { error: "sign in" }, {}));
    }
    if (fault === "gateway is busy") return reply(answer(503, "busy", {}));
    if (fault === "key of somebody else" && find(key) === undefined && !running.has(key)) {
      store(key, "another request", 201, { order: "not yours" });
    }
    const record = find(key);
    if (record !== undefined) return reply(replay(record, key, text, rules));
    if (running.has(key)) return reply(problem(409, "idempotency_in_flight", key, RETRY_LATER));
    if (rules.refusesOldKeys && time.now() - mintedAt(key) > RETENTION_MS) {
      // Whatever comes later with it is refused as well.
      log.stored(key);
      return reply(problem(412, "idempotency_key_expired", key, dateOf(time)));
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

  function finish({ key, text, fault }: Arrival, reply: Reply): void {
    running.delete(key);
    if (fault === "handler fails") return reply(answer(500, { error: "oops" }, echo(key)));
    if (fault === "declined") {
      const value = { error: "declined" };
      store(key, text, 402, value);
      return reply(answer(402, value, echo(key)));
    }
    const content = JSON.parse(text) as Content;
    orders += 1;
    const value = { order: orders, lines: content.lines };
    log.charged(key, content, value);
    store(key, text, 201, value);
    return reply(answer(201, value, echo(key)));
  }

  // Rolls back all uncommitted work.
  function restart(): void {
    restarts += 1;
    running.clear();
  }

  return {
    fetch(headers, text) {
      const fault = ahead.shift() ?? "none";
      const key = headers.get("idempotency-key") ?? "none";
      const onlyIfStored = headers.get("idempotency-only-if-stored") === "true";
      requests.set(key, (requests.get(key) ?? 0) + 1);
      const { promise, resolve, reject } = Promise.withResolvers<Response>();
      const arrive = (): void => {
        handle({ key, text, onlyIfStored, fault }, deliver(fault, resolve, reject));
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
      if (response === "the connection died" || fault === "reply lost") {
        reject(new TypeError("fetch failed"));
      } else if (fault === "gateway gives up") resolve(answer(504, "gave up", {}));
      else if (fault === "reply late") time.after(LATE_MS, () => resolve(response));
      else if (fault === "reply cut off") resolve(cutOff(response));
      else resolve(response);
    };
  }
}

const RETRY_LATER = { "retry-after": "1" };

function replay(
  record: StoredResponse,
  key: string,
  text: string,
  { mismatch }: ShopRules,
): Response {
  const replayed = { ...echo(key), "idempotent-replayed": "true" };
  if (record.text === text) return answer(record.status, record.value, replayed);
  if (mismatch === "reject") return problem(422, "idempotency_conflict", key);
  return answer(record.status, record.value, { ...replayed, "idempotency-mismatch": "true" });
}

function echo(key: string): Record<string, string> {
  return { "idempotency-key": key, "idempotency-key-lifetime": String(RETENTION_MS / 1000) };
}

function dateOf(time: VirtualTime): Record<string, string> {
  return { date: new Date(time.now()).toUTCString() };
}

function problem(
  status: number,
  code: string,
  key: string,
  headers: Record<string, string> = {},
): Response {
  return answer(status, { code, status, title: code, detail: code }, { ...echo(key), ...headers });
}

function answer(status: number, body: unknown, headers: Record<string, string>): Response {
  const type = typeof body === "string" ? "text/plain" : "application/json";
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return new Response(text, { status, headers: { "content-type": type, ...headers } });
}

function cutOff(response: Response): Response {
  response.arrayBuffer = () => Promise.reject(new TypeError("terminated"));
  return response;
}

/** The time that a UUIDv7 carries in its first 48 bits (RFC 9562 §5.7). */
function mintedAt(key: string): number {
  return Number.parseInt(key.slice(0, 8) + key.slice(9, 13), 16);
}
