/** What the model server remembers: a record for each key and target, and every effect that there was. */

/** One time that a route did its work and what it did was kept. */
export interface Effect {
  /** `undefined` where the request had none and the route does not require one. */
  readonly key: string | undefined;
  readonly method: string;
  readonly path: string;
  /** 200–399: what was refused had no effect. */
  readonly status: number;
}

/** A response as it is kept; `undefined` bytes: it was too large. */
export interface StoredResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: ArrayBuffer | undefined;
}

/** `closed`: whether it was done is not known, and stays so. `too-old`: the key is not taken. */
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

// As the server's default has them: what describes the body or where its resource is.
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
// Statuses that say nothing final. What answered so is rolled back, as a 5xx is.
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
