/** Fingerprint of a request, as the model server compares it. */
import { encodeBytes } from "../wire/body.ts";
import { canonicalJson } from "../wire/request.ts";

/** The part of a request that must not change under one key: method, path, sorted query, media type and body. */
export async function fingerprint(request: Request): Promise<string> {
  const { pathname, searchParams } = new URL(request.url);
  searchParams.sort();
  const mediaType = request.headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
  const copy = request.clone();
  // Not as text: bytes that are no text would all be one replacement character.
  const content =
    mediaType === "application/json"
      ? canonicalBody(await copy.text())
      : await encodeBytes(new Uint8Array(await copy.arrayBuffer()));
  return JSON.stringify([request.method, pathname, searchParams.toString(), mediaType, content]);
}

function canonicalBody(body: string): string {
  try {
    return canonicalJson(JSON.parse(body));
  } catch {
    return body;
  }
}
