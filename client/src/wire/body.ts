/** Bodies in the form from which every attempt has the same bytes. */
import { accept } from "../validation/check.ts";
import type { Check } from "../validation/check.ts";

/** Bodies that can be sent again with the same bytes. */
export type RequestBody =
  | string
  | URLSearchParams
  | ArrayBuffer
  | ArrayBufferView<ArrayBuffer>
  | Blob
  | FormData;

/** A body that is serialised once. Bytes stay bytes. */
export interface SerialBody {
  readonly body: string | Bytes | undefined;
}

/** Content that is not text. */
export type Bytes = Uint8Array<ArrayBuffer> | Blob;

/** A {@link SerialBody} and its media type; without a type if it is missing or empty. */
export interface TypedBody extends SerialBody {
  readonly type?: string;
}

// A stream is gone after the first attempt.
export const BODY_CHECK: Check = accept(
  isBody,
  "text, URLSearchParams, bytes, a Blob or a FormData",
);

/** Serialises a body, once. A form has to be read, which takes time: then the result is a function. */
export function serialiseBody(
  body: RequestBody | undefined,
): TypedBody | (() => Promise<TypedBody>) {
  if (body === undefined || typeof body === "string") return { body };
  if (body instanceof URLSearchParams) {
    return { body: String(body), type: "application/x-www-form-urlencoded;charset=UTF-8" };
  }
  if (body instanceof FormData) return () => readForm(body);
  if (body instanceof Blob) return { body, type: body.type };
  const bytes = ArrayBuffer.isView(body)
    ? new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
    : new Uint8Array(body);
  // A copy: the caller may go on to change its own.
  return { body: bytes.slice() };
}

/** Encodes bytes for a storage that keeps text only (RFC 4648 §4). */
export async function encodeBytes(bytes: Bytes): Promise<string> {
  return btoa(toBinary(bytes instanceof Blob ? new Uint8Array(await bytes.arrayBuffer()) : bytes));
}

/** Decodes what {@link encodeBytes} made. */
export function decodeBytes(text: string): Uint8Array<ArrayBuffer> {
  return fromBinary(atob(text));
}

/** Reads what the platform would send. Its random boundary is replaced by one that depends on the content alone. */
async function readForm(form: FormData): Promise<TypedBody> {
  const whole = new Response(form);
  const type = whole.headers.get("content-type") ?? "";
  const content = toBinary(new Uint8Array(await whole.arrayBuffer()));
  const [, random] = /boundary=(\S+)$/.exec(type) ?? [];
  if (random === undefined) return { body: fromBinary(content), type };
  let boundary = "oncekey-form";
  while (content.includes(boundary)) boundary += "-";
  const body = fromBinary(content.replaceAll(random, boundary));
  return { body, type: type.replace(random, boundary) };
}

/** The most arguments that every engine takes. */
const CHUNK = 32_768;

/** A letter for each byte. */
function toBinary(bytes: Uint8Array): string {
  let text = "";
  for (let start = 0; start < bytes.length; start += CHUNK) {
    text += String.fromCharCode(...bytes.subarray(start, start + CHUNK));
  }
  return text;
}

function fromBinary(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = text.charCodeAt(index);
  return bytes;
}

function isBody(value: unknown): boolean {
  if (typeof value === "string" || ArrayBuffer.isView(value)) return true;
  return [URLSearchParams, ArrayBuffer, Blob, FormData].some((kind) => value instanceof kind);
}
