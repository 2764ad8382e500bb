/** Bodies as text: the form in which they are kept, and from which every attempt has the same bytes. */
import { accept } from "../validation/check.ts";
import type { Check } from "../validation/check.ts";

/** What can be sent again as it is. */
export type RequestBody =
  | string
  | URLSearchParams
  | ArrayBuffer
  | ArrayBufferView<ArrayBuffer>
  | Blob
  | FormData;

/** A body that is serialised. */
export interface SerialBody {
  readonly body: string | undefined;
  /** Where `body` is the base64 of bytes (RFC 4648 §4). */
  readonly isBase64?: true;
}

/** A {@link SerialBody} and its media type, if it has one. */
export interface TypedBody {
  readonly serial: SerialBody;
  readonly type?: string;
}

// A stream is gone after the first attempt.
export const BODY_CHECK: Check = accept(
  isBody,
  "text, URLSearchParams, bytes, a Blob or a FormData; no stream",
);

/** Serialises a body, once. A blob or a form has to be read, which takes time: then it is a function. */
export function serialiseBody(
  body: RequestBody | undefined,
): TypedBody | (() => Promise<TypedBody>) {
  if (body === undefined || typeof body === "string") return { serial: { body } };
  if (body instanceof URLSearchParams) {
    return {
      serial: { body: String(body) },
      type: "application/x-www-form-urlencoded;charset=UTF-8",
    };
  }
  if (body instanceof Blob || body instanceof FormData) return () => readBody(body);
  const bytes = ArrayBuffer.isView(body)
    ? new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
    : new Uint8Array(body);
  return { serial: toBase64(toBinary(bytes)) };
}

/** The body as `fetch` takes it. */
export function openBody({
  body,
  isBase64,
}: SerialBody): string | Uint8Array<ArrayBuffer> | undefined {
  if (body === undefined || isBase64 === undefined) return body;
  return Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
}

/** What the platform would send. Its boundary is another one each time: it gives way to one that the content alone decides. */
async function readBody(body: Blob | FormData): Promise<TypedBody> {
  const whole = new Response(body);
  const type = whole.headers.get("content-type") ?? undefined;
  const content = toBinary(new Uint8Array(await whole.arrayBuffer()));
  const [, random] = /boundary=(\S+)$/.exec(type ?? "") ?? [];
  if (type === undefined) return { serial: toBase64(content) };
  if (body instanceof Blob || random === undefined) return { serial: toBase64(content), type };
  let boundary = "oncekey-form";
  while (content.includes(boundary)) boundary += "-";
  return {
    serial: toBase64(content.replaceAll(random, boundary)),
    type: type.replace(random, boundary),
  };
}

/** A letter for each byte. */
function toBinary(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function toBase64(binary: string): SerialBody {
  return { body: btoa(binary), isBase64: true };
}

function isBody(value: unknown): boolean {
  if (typeof value === "string" || ArrayBuffer.isView(value)) return true;
  return [URLSearchParams, ArrayBuffer, Blob, FormData].some((kind) => value instanceof kind);
}
