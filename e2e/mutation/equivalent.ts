/** Mutants that no test can notice, each with the reason. The page lists them apart from the open survivors. */
import { isSameChange } from "./result.ts";
import type { Change } from "./result.ts";

export interface Equivalent extends Change {
  /** Why users, callers and the database see no difference. */
  readonly reason: string;
}

export const EQUIVALENT: readonly Equivalent[] = [
  {
    file: "client/src/retry/retry-loop.ts",
    mutator: "ConditionalExpression",
    original: "isAgain(judged)",
    replacement: "true",
    reason: "any other answer ends the loop, and nothing reads this state afterwards",
  },
  {
    file: "client/src/retry/classify.ts",
    mutator: "StringLiteral",
    original: '"structured"',
    replacement: '""',
    reason: "a key is written as a structured string in every format but 'bare'",
  },
  {
    file: "client/src/retry/classify.ts",
    mutator: "ConditionalExpression",
    original: "default: return code satisfies never;",
    replacement: "default:",
    reason: "the cases before it are all codes, as the compiler checks: it is never reached",
  },
  {
    file: "client/src/retry/error-formats.ts",
    mutator: "StringLiteral",
    original: '""',
    replacement: '"Stryker was here!"',
    reason: "the name of a body that is text itself: neither is a member that names a refusal",
  },
  {
    file: "client/src/retry/error-formats.ts",
    mutator: "ArrayDeclaration",
    original: "[]",
    replacement: '["Stryker was here"]',
    reason: "one more text, which is neither in the table nor about a key",
  },
  {
    file: "client/src/retry/error-formats.ts",
    mutator: "Regex",
    original: String.raw`/^\d/`,
    replacement: String.raw`/\d/`,
    reason: "a text with a number elsewhere is not in the table, with its member's name or without",
  },
  {
    file: "client/src/retry/retry-loop.ts",
    mutator: "StringLiteral",
    original: '"retry"',
    replacement: '""',
    reason: "no answer is not logged by its kind, and every kind but a poll costs an attempt",
  },
  {
    file: "client/src/retry/retry-loop.ts",
    mutator: "EqualityOperator",
    original: "waitMs >= leftMs(loop)",
    replacement: "waitMs > leftMs(loop)",
    reason: "both are fractions of a millisecond; if they are equal, the run ends after the wait",
  },
  {
    file: "client/src/tabs/exclusive.ts",
    mutator: "ArrayDeclaration",
    original: "[]",
    replacement: '["Stryker was here"]',
    reason: "a text is no queued run, no lock with a name, and no message that is accepted",
  },
  {
    file: "client/src/tabs/exclusive.ts",
    mutator: "StringLiteral",
    original: '""',
    replacement: '"Stryker was here!"',
    reason: "the name of a lock without one: neither ends like those of this storage",
  },
  {
    file: "client/src/tabs/exclusive.ts",
    mutator: "ConditionalExpression",
    original: "signal === undefined",
    replacement: "false",
    reason:
      "a run that joins without a signal is counted then, and already keeps all from aborting",
  },
  {
    file: "client/src/tabs/exclusive.ts",
    mutator: "ConditionalExpression",
    original: "locks === undefined",
    replacement: "false",
    reason: "the request of a lock then throws, which starts the run in the same way",
  },
  {
    file: "client/src/wire/answer.ts",
    mutator: "StringLiteral",
    original: '""',
    replacement: '"Stryker was here!"',
    reason: "the text of a missing header: neither is HTML nor JSON",
  },
  {
    file: "client/src/wire/body.ts",
    mutator: "EqualityOperator",
    original: "start < bytes.length",
    replacement: "start <= bytes.length",
    reason: "one chunk more, of no bytes",
  },
  {
    file: "client/src/wire/body.ts",
    mutator: "EqualityOperator",
    original: "index < bytes.length",
    replacement: "index <= bytes.length",
    reason: "a byte behind the end of an array is not written",
  },
  {
    file: "client/src/wire/body.ts",
    mutator: "Regex",
    original: String.raw`/boundary=(\S+)$/`,
    replacement: String.raw`/boundary=(\S+)/`,
    reason: "the boundary is the last of what the platform writes, and has no space in it",
  },
  {
    file: "client/src/tabs/tab-channel.ts",
    mutator: "OptionalChaining",
    original: "channel?.postMessage",
    replacement: "channel.postMessage",
    reason: "the error of a channel that is not open is dropped like that of a message",
  },
  {
    file: "client/src/retry/renew-credentials.ts",
    mutator: "AssignmentOperator",
    original: "renewals += 1",
    replacement: "renewals -= 1",
    reason: "the count is only compared for equality: counting down changes it as well",
  },
];

/** Returns the reason why a mutant is equivalent, or `undefined` if it is an open survivor. */
export function reasonOf(change: Change): string | undefined {
  return EQUIVALENT.find((known) => isSameChange(known, change))?.reason;
}
