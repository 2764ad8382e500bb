/** Reads the key, target and fingerprint of a request, or the reason to refuse it. */
import { IDEMPOTENCY_KEY, IDEMPOTENCY_ONLY_IF_STORED, parseKey } from "@oncekey/shared";
import type { ProblemCode } from "@oncekey/shared";
import { fingerprint } from "./fingerprint.ts";

export type Intake =
  | {
      readonly kind: "keyed";
      readonly key: string;
      /** Method and path: the same key on another target is another operation. */
      readonly target: string;
      readonly fingerprint: string;
      readonly onlyIfStored: boolean;
    }
  | { readonly kind: "keyless"; readonly key: undefined; readonly target: string }
  | {
      readonly kind: "refused";
      readonly key: undefined;
      readonly code: ProblemCode;
      readonly detail: string;
    };

export async function takeIn(request: Request, isKeyRequired: boolean): Promise<Intake> {
  const target = `${request.method} ${new URL(request.url).pathname}`;
  const value = request.headers.get(IDEMPOTENCY_KEY);
  const asked = request.headers.get(IDEMPOTENCY_ONLY_IF_STORED);
  const onlyIfStored = asked !== null && asked !== "false" && asked !== "?0";
  if (value === null) {
    if (!isKeyRequired && !onlyIfStored) return { kind: "keyless", key: undefined, target };
    return refused("idempotency_key_required", `The ${IDEMPOTENCY_KEY} header is missing`);
  }
  const parsed = parseKey(value);
  if (parsed.kind === "invalid") {
    return refused("idempotency_key_invalid", `The ${IDEMPOTENCY_KEY} header ${parsed.reason}`);
  }
  const { key } = parsed;
  return { kind: "keyed", key, target, fingerprint: await fingerprint(request), onlyIfStored };
}

function refused(code: ProblemCode, detail: string): Intake {
  return { kind: "refused", key: undefined, code, detail };
}
