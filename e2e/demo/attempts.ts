/**
 * A `fetch` that injects each attempt's fault and reports its outcome. Runs in Node and in the
 * page.
 */
import { FAULT_HEADER, formatFault, SERVER_HEADER } from "../fault-proxy/fault.ts";
import type { Fault, FaultKind } from "../fault-proxy/fault.ts";

/** One attempt as it starts. */
export interface Attempt {
  readonly key: string | undefined;
  readonly fault: FaultKind | undefined;
}

/** Outcome of an attempt, as its client saw it. */
export interface Answer {
  readonly kind: "ok" | "refused" | "lost";
  /** For people: `201 from server A`, `the connection died`. */
  readonly text: string;
  readonly tookMs: number;
}

export interface AttemptOptions {
  /** The fault that the next attempt shall meet. */
  readonly nextFault: () => Fault | undefined;
  /** Hears of an attempt when it starts; what it returns hears the answer. */
  readonly record: (attempt: Attempt) => (answer: Answer) => void;
  /** Sent with every attempt. */
  readonly headers?: Readonly<Record<string, string>>;
}

export function createAttemptFetch(options: AttemptOptions): typeof fetch {
  return async (input, init) => {
    // The only copy, and in use to the end: in Node, one that is collected takes the caller's timeout with it.
    const request = new Request(input, init);
    for (const [name, value] of Object.entries(options.headers ?? {})) {
      request.headers.set(name, value);
    }
    const fault = options.nextFault();
    if (fault !== undefined) request.headers.set(FAULT_HEADER, formatFault(fault));
    const key = request.headers.get("idempotency-key") ?? undefined;
    const started = performance.now();
    const tell = options.record({ key, fault: fault?.kind });
    const answered = (kind: Answer["kind"], text: string): void =>
      tell({ kind, text, tookMs: Math.round(performance.now() - started) });
    try {
      const response = await fetch(request);
      await readThrough(response, answered);
      return response;
    } catch (error) {
      answered("lost", request.signal.aborted ? "no answer in time" : "the connection died");
      throw error;
    }
  };
}

// Reads a clone: if the body breaks off, the client must still meet the error itself.
async function readThrough(
  response: Response,
  answered: (kind: Answer["kind"], text: string) => void,
): Promise<void> {
  const { status, headers } = response;
  const server = headers.get(SERVER_HEADER);
  const from = server === null ? "the gateway" : `server ${server}`;
  const replayed = headers.get("idempotent-replayed") === "true" ? ", replayed" : "";
  try {
    await response.clone().arrayBuffer();
    answered(response.ok ? "ok" : "refused", `${status} from ${from}${replayed}`);
  } catch {
    answered("lost", `${status} from ${from}, then the body broke off`);
  }
}
