/** A request with a key, as a client without Oncekey sends it. */

export interface KeyedRequest {
  readonly key: string;
  readonly json: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  /** The text that came: a replay must have the same. */
  readonly body: string;
  readonly isReplayed: boolean;
}

/** Sends one POST, which is never repeated. Rejects if the connection dies. */
export async function post(
  url: string,
  { key, json, headers }: KeyedRequest,
): Promise<readonly [Answer, Headers]> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": key, ...headers },
    body: JSON.stringify(json),
  });
  const isReplayed = response.headers.get("idempotent-replayed") === "true";
  return [{ status: response.status, body: await response.text(), isReplayed }, response.headers];
}
