import { createClient, memoryStorage } from "@oncekey/client";
import type { ClientOptions, OperationStorage, Warning } from "@oncekey/client";
import { createIdempotentFetch } from "@oncekey/client/fetch";
import ky from "ky";
import { createModelServer } from "@oncekey/client/testing";

// Options that may be undefined, under exactOptionalPropertyTypes.
declare const isBrowser: boolean;
declare const env: { readonly API: string | undefined };
declare const maybe: {
  readonly storage: OperationStorage | undefined;
  readonly attempts: number | undefined;
  readonly prefix: string | undefined;
  readonly onWarning: ((warning: Warning) => void) | undefined;
  readonly mismatch: "replay" | "reject" | undefined;
};
createClient({ ky: { prefix: env.API } });
createClient({ ky: isBrowser ? ky.create({ prefix: "/api" }) : undefined });
createClient({
  ...maybeOptions(),
  storage: isBrowser ? memoryStorage() : undefined,
  attempts: maybe.attempts,
  onWarning: maybe.onWarning,
});
const options: ClientOptions = { storage: maybe.storage };
createClient(options);
createClient({ ky: { prefix: maybe.prefix } });
createIdempotentFetch({ attempts: maybe.attempts, onWarning: maybe.onWarning });
createModelServer({ mismatch: maybe.mismatch });
// @ts-expect-error -- storag
createClient({ storag: memoryStorage() });

function maybeOptions(): ClientOptions {
  return { backoff: { baseMs: maybe.attempts } };
}
