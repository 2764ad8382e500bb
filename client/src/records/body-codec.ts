/** The bodies of a record on their way into the storage and back. */
import { IdempotencyError } from "@oncekey/shared";
import type { Warn } from "../options/warnings.ts";
import type { StoredBody } from "../storage/storage.ts";
import { decodeBytes, encodeBytes } from "../wire/body.ts";
import type { PreparedRequest } from "../wire/request.ts";
import { candidatesOf, withCandidates } from "./record.ts";
import type { Candidate, OperationRecord } from "./record.ts";
import { digest } from "./record-names.ts";
import type { SafeStorage } from "./safe-storage.ts";

export interface BodyCodec {
  /** Returns the record in the form for the storage. Bytes go to entries of their own if the storage keeps bytes. */
  readonly seal: (
    record: OperationRecord,
    id: string,
    storage: ByteStorage,
  ) => Promise<OperationRecord>;
  /**
   * Returns the record in the form for sending.
   *
   * @param place The name of the record and its storage.
   * @param own The record as this page wrote it. It has the bodies that were left out of the storage.
   */
  readonly open: (
    record: OperationRecord,
    place: { readonly id: string; readonly storage: ByteStorage },
    own: OperationRecord | undefined,
  ) => Promise<OperationRecord>;
}

type ByteStorage = Pick<SafeStorage, "keepsBytes" | "setBytes" | "getBytes">;

/** Returns the names of the entries that hold the bytes of a record. */
export function byteNamesOf(record: OperationRecord | undefined, id: string): string[] {
  if (record === undefined) return [];
  return candidatesOf(record)
    .filter(({ request }) => request?.bytes === "beside" || typeof request?.body === "object")
    .map(({ identity }) => byteNameOf(id, record.key, identity));
}

function byteNameOf(id: string, key: string, identity: string): string {
  return `${id}:${digest(JSON.stringify([key, identity]))}`;
}

export function createBodyCodec(option: StoredBody | undefined, warn: Warn): BodyCodec {
  const fail = (what: string, cause: unknown): undefined => {
    const message = `A body could not be ${what}: a reload needs its input again`;
    warn({ code: "storage_failed", message, cause });
  };

  async function sealRequest(
    request: PreparedRequest,
    name: string,
    storage: ByteStorage,
  ): Promise<PreparedRequest> {
    const { body, ...rest } = request;
    if (body === undefined || (option === undefined && typeof body === "string")) return request;
    try {
      if (option === undefined && storage.keepsBytes && typeof body === "object") {
        if (await storage.setBytes(name, body))
          return { ...rest, body: undefined, bytes: "beside" };
        return { ...rest, body: undefined, sealedBody: null };
      }
      const isText = typeof body === "string";
      const text = isText ? body : await encodeBytes(body);
      const form = isText ? rest : ({ ...rest, bytes: "base64" } as const);
      if (option === undefined) return { ...form, body: text };
      return { ...form, body: undefined, sealedBody: (await option.seal(text)) || null };
    } catch (cause) {
      fail("sealed", cause);
      return { ...rest, body: undefined, sealedBody: null };
    }
  }

  async function openRequest(
    request: PreparedRequest,
    name: string,
    storage: ByteStorage,
  ): Promise<PreparedRequest> {
    const { sealedBody, bytes, ...rest } = request;
    const decode = (text: string) => (bytes === "base64" ? decodeBytes(text) : text);
    try {
      if (bytes === "beside") {
        const body = await storage.getBytes(name);
        return body === null ? { ...rest, sealedBody: null } : { ...rest, body };
      }
      if (typeof rest.body === "string") return { ...rest, body: decode(rest.body) };
      if (!sealedBody) return request;
      if (option !== undefined) return { ...rest, body: decode(await option.open(sealedBody)) };
    } catch (cause) {
      fail("opened", cause);
    }
    return { ...rest, sealedBody: null };
  }

  return {
    seal: (record, id, storage) =>
      mapRequests(record, ({ identity, request }) => {
        return request && sealRequest(request, byteNameOf(id, record.key, identity), storage);
      }),
    open(record, { id, storage }, own) {
      const known = own?.key === record.key ? candidatesOf(own) : [];
      return mapRequests(record, async ({ identity, request }) => {
        const name = byteNameOf(id, record.key, identity);
        const opened = request && (await openRequest(request, name, storage));
        const mine = known.find((one) => one.identity === identity)?.request;
        return opened?.sealedBody === null ? (mine ?? opened) : opened;
      });
    },
  };
}

/** Returns why a kept request cannot be sent as it is, if so. */
export function whyIncomplete({
  key,
  request,
}: Pick<OperationRecord, "key" | "request">): IdempotencyError | undefined {
  if (request !== undefined && request.sealedBody === undefined) return undefined;
  const message = "The body is not stored: run with the same input";
  return new IdempotencyError(message, "input_required", { key });
}

type Change = (
  candidate: Candidate,
) => Promise<PreparedRequest | undefined> | PreparedRequest | undefined;

async function mapRequests(record: OperationRecord, change: Change): Promise<OperationRecord> {
  const changed = candidatesOf(record).map(async (candidate) => {
    return { identity: candidate.identity, request: await change(candidate) };
  });
  return withCandidates(record, await Promise.all(changed));
}
