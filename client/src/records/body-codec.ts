/** The bodies of a record on their way into the storage and back. */
import { IdempotencyError } from "@oncekey/shared";
import type { Warn } from "../options/warnings.ts";
import type { StoredBody } from "../storage/storage.ts";
import type { PreparedRequest } from "../wire/request.ts";
import { candidatesOf, withCandidates } from "./record.ts";
import type { Candidate, OperationRecord } from "./record.ts";

export interface BodyCodec {
  /** Returns the record in the form for the storage. */
  readonly seal: (record: OperationRecord) => Promise<OperationRecord>;
  /**
   * Returns the record in the form for sending.
   *
   * @param own the record as this page wrote it, which has the bodies that were left out of the storage.
   */
  readonly open: (
    record: OperationRecord,
    own: OperationRecord | undefined,
  ) => Promise<OperationRecord>;
}

export function createBodyCodec(option: StoredBody | undefined, warn: Warn): BodyCodec {
  const fail = (what: string, cause: unknown): undefined => {
    const message = `A body could not be ${what}; after a reload its input is needed again`;
    warn({ code: "storage_failed", message, cause });
  };

  async function sealRequest(request: PreparedRequest): Promise<PreparedRequest> {
    const { body, ...rest } = request;
    if (option === undefined || body === undefined) return request;
    try {
      return { ...rest, body: undefined, sealedBody: (await option.seal(body)) || null };
    } catch (cause) {
      fail("sealed and was left out", cause);
      return { ...rest, body: undefined, sealedBody: null };
    }
  }

  async function openRequest(request: PreparedRequest): Promise<PreparedRequest> {
    const { sealedBody, ...rest } = request;
    if (!sealedBody) return request;
    try {
      if (option !== undefined) return { ...rest, body: await option.open(sealedBody) };
    } catch (cause) {
      fail("opened", cause);
    }
    return { ...rest, sealedBody: null };
  }

  return {
    seal: (record) => mapRequests(record, ({ request }) => request && sealRequest(request)),
    open(record, own) {
      const known = own?.key === record.key ? candidatesOf(own) : [];
      return mapRequests(record, async ({ identity, request }) => {
        const opened = request && (await openRequest(request));
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
  const message = "The body is not stored: run the operation with the same input";
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
