/** I11: a lease whose client never comes back ends once, with a recorded outcome. */
import { readAnswer } from "./case.ts";
import type { Case, RecordRow, Violation } from "./case.ts";

/** Process that sends each of its keys once. */
export const ABANDONED = "abandoned";

/**
 * I11: an abandoned key takes effect once at most. If its handler had begun, exactly one outcome is recorded: the handler's own
 * answer, or one decision. A decision stands in the audit, and crash recovery and sweep report the lease before.
 */
export function checkAbandoned(one: Case): Violation[] {
  if (!isAbandoned(one)) return [];
  const { effects, record, decisions, isFound, policy } = one;
  const violations: Violation[] = [];
  const add = (message: string): void =>
    void violations.push({ invariant: "I11", message, at: one });
  if (effects.length > 1) add(`a key that was sent once took effect ${effects.length} times`);
  const [decision, ...others] = decisions;
  if (others.length > 0) add(`the audit has ${decisions.length} decisions about the key`);
  if (record === undefined) {
    const isGone = decision?.action === "forgotten" || decision?.action === "expired";
    if (isBegun(one) && !isGone) add("the record is gone, and the audit does not say why");
  } else if (record.status === null) add("no outcome is recorded");
  else if (isDecided(record) && decision?.action !== "resolved")
    add(`${record.status} was decided, and the audit does not have it`);
  else if (!isDecided(record) && decision !== undefined)
    add("the audit has a decision about the handler's own answer");
  else if (decision !== undefined && decision.status !== record.status)
    add(`${String(decision.status)} was decided and ${record.status} is stored`);
  // An operator who lists crashed leases may come before crash recovery, which leaves these to a retry.
  const isOperated = policy.onCrash === "rerun" && decision?.action !== "expired";
  if (decision !== undefined && !isOperated && !isFound)
    add("no server reported the crashed lease");
  return violations;
}

/** Keys whose clients never came back, by their end. */
export interface Abandoned {
  readonly keys: number;
  /** No server began a handler for them. */
  readonly notBegun: number;
  readonly finished: number;
  readonly resolved: number;
  readonly forgotten: number;
  readonly expired: number;
}

export function countAbandoned(cases: readonly Case[]): Abandoned {
  const abandoned = cases.filter((one) => isAbandoned(one));
  const count = (is: (one: Case) => boolean): number => abandoned.filter(is).length;
  const decided = (action: string) => (one: Case) =>
    one.decisions.some((decision) => decision.action === action);
  return {
    keys: abandoned.length,
    notBegun: count((one) => !isBegun(one)),
    finished: count(({ record }) => typeof record?.status === "number" && !isDecided(record)),
    resolved: count(decided("resolved")),
    forgotten: count(decided("forgotten")),
    expired: count(decided("expired")),
  };
}

function isAbandoned({ attempts }: Case): boolean {
  return attempts.length > 0 && attempts.every(({ invoke }) => invoke.process === ABANDONED);
}

function isBegun({ effects, record, decisions, isFound }: Case): boolean {
  return isFound || effects.length > 0 || record !== undefined || decisions.length > 0;
}

/** Whether the stored answer is not the handler's. */
function isDecided({ body }: RecordRow): boolean {
  if (body === null) return false;
  return readAnswer(body)?.isDecided === true || body.includes("idempotency_outcome_unknown");
}
