/** The body of a request on its way into the storage and back. */
import { IdempotencyError } from "@oncekey/shared";
import type { PreparedRequest } from "../wire/request.ts";
import type { StoredBody } from "../storage/storage.ts";
import type { Warn } from "../options/warnings.ts";

export interface BodyKeeper {
  /** The form for the storage. */
  hide(request: PreparedRequest): Promise<PreparedRequest>;
  /** The form for sending, where the body can be had. */
  reveal(request: PreparedRequest): Promise<PreparedRequest>;
  /** What makes it the same operation, in the form for the storage. */
  readonly identify: (identity: string) => string;
}

/** Canonical JSON begins with another letter. */
const DIGEST = "digest:";

export function createBodyKeeper(option: StoredBody | undefined, warn: Warn): BodyKeeper {
  const fail = (what: string, cause: unknown): undefined => {
    const message = `A body could not be ${what}; after a reload its input is needed again`;
    warn({ code: "storage_failed", message, cause });
  };
  return {
    async hide(request) {
      const { body, ...rest } = request;
      if (option === undefined || body === undefined) return request;
      try {
        return { ...rest, body: undefined, sealedBody: (await option.seal(body)) || null };
      } catch (cause) {
        fail("sealed and was left out", cause);
        return { ...rest, body: undefined, sealedBody: null };
      }
    },
    async reveal(request) {
      const { sealedBody, ...rest } = request;
      if (!sealedBody) return request;
      try {
        if (option !== undefined) return { ...rest, body: await option.open(sealedBody) };
      } catch (cause) {
        fail("opened", cause);
      }
      return { ...rest, sealedBody: null };
    },
    identify: (identity) =>
      option === undefined || identity.startsWith(DIGEST)
        ? identity
        : DIGEST + option.digest(identity),
  };
}

/** Why a kept request cannot be sent as it is, if so. */
export function whyIncomplete({ key, request }: Kept): IdempotencyError | undefined {
  if (request.sealedBody === undefined) return undefined;
  const message = "The body is not stored: run the operation with the same input";
  return new IdempotencyError(message, "input_required", { key });
}

interface Kept {
  readonly key: string;
  readonly request: PreparedRequest;
}
