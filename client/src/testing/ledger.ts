/** The memory of the model server: one record per key and target, and the list of effects. */

/** One run of a resolver that answered 200–399: a refusal has no effect. */
export interface Effect {
  /** `undefined` if the route does not require a key and the request had none. */
  readonly key: string | undefined;
  readonly method: string;
  readonly path: string;
  readonly status: number;
}

/** A stored response; its `bytes` are `undefined` if the body was too large. */
export interface StoredResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: ArrayBuffer | undefined;
}

/** `closed`: the outcome is unknown and stays so. `too-old`: the key is refused. */
export type ModelRecord =
  | { readonly kind: "running"; readonly fingerprint: string; readonly ended: Promise<unknown> }
  | {
      readonly kind: "stored";
      readonly fingerprint: string;
      readonly response: StoredResponse;
      readonly storedAt: number;
    }
  | { readonly kind: "closed" }
  | { readonly kind: "too-old" };

// The default list of the server.
const KEPT_HEADERS: readonly string[] = [
  "content-type",
  "content-language",
  "content-disposition",
  "content-location",
  "etag",
  "last-modified",
  "link",
  "location",
];
// Statuses that are not final: the server rolls back, as for a 5xx.
const NOT_FINAL: ReadonlySet<number> = new Set([401, 403, 408, 409, 425, 429]);

export function isKept(status: number): boolean {
  return status >= 200 && status < 500 && !NOT_FINAL.has(status);
}

export async function toStored(response: Response): Promise<StoredResponse> {
  const kept = [...response.headers].filter(([name]) => KEPT_HEADERS.includes(name));
  return {
    status: response.status,
    headers: new Headers(kept),
    bytes: await response.clone().arrayBuffer(),
  };
}

/** @throws Error that lists every key with more than one effect. */
export function assertOneEffectPerKey(effects: readonly Effect[]): void {
  const keys = new Set(effects.map(({ key }) => key));
  keys.delete(undefined);
  const byKey = [...keys].map((key) => effects.filter((effect) => effect.key === key));
  const doubled = byKey.filter((own) => own.length > 1);
  if (doubled.length === 0) return;
  const list = doubled.map((own) => {
    const requests = own.map(({ method, path, status }) => `${method} ${path} ${status}`);
    return `${own[0]?.key} had ${own.length}: ${requests.join(", ")}`;
  });
  throw new Error(`more than one effect for one key\n${list.join("\n")}`);
}
