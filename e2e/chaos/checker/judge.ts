/** Judges a history with what the database holds, by every invariant. */
import type { HistoryEvent } from "../history/event.ts";
import { checkAbandoned, countAbandoned } from "./abandoned.ts";
import type { Abandoned } from "./abandoned.ts";
import { checkNothingAfterFinal, checkSameBytes, checkStored } from "./answers.ts";
import { toCases } from "./case.ts";
import type { Case, Invariant, Policy, Row, Violation } from "./case.ts";
import {
  checkAnsweredEffect,
  checkBothOrNeither,
  checkResult,
  checkSingleEffect,
  checkSingleOperation,
} from "./effects.ts";
import { disturbancesOf, turnsOf } from "./disturbance.ts";
import { checkDropped, countDropped } from "./dropped.ts";
import { checkMismatch, checkScope } from "./mismatch.ts";
import { checkRaces, countRaces } from "./races.ts";
import type { Races } from "./races.ts";
import { checkRetention, checkTombstones, countTombstones } from "./retention.ts";
import {
  checkHeld,
  checkLeftovers,
  checkQuiet,
  checkRefused,
  checkSettled,
  countLate,
} from "./settling.ts";
import type { Leftovers } from "./settling.ts";

/** All that a run leaves behind. */
export interface Evidence {
  readonly events: readonly HistoryEvent[];
  readonly rows: readonly Row[];
  readonly leftovers: readonly Leftovers[];
  readonly policyOf: (target: string) => Policy;
  /** The strategies whose duplicates were to meet running requests; empty where none was to. */
  readonly raced: readonly Policy["strategy"][];
  /** `false` for a run that was stopped before every key could be repeated. */
  readonly isComplete: boolean;
}

export interface Verdict {
  readonly violations: readonly Violation[];
  readonly tickets: number;
  readonly attempts: number;
  readonly effects: number;
  readonly races: Races;
  /** Attempts that ended for want of patience while no fault struck. */
  readonly late: number;
  /** Answers that a response is no longer kept (410). */
  readonly tombstones: number;
  /** Answers that the day of a key was dropped (412). */
  readonly dropped: number;
  readonly abandoned: Abandoned;
}

// Invariants that hold whenever a history is cut off.
const ALWAYS: readonly Invariant[] = [
  checkSingleEffect,
  checkAnsweredEffect,
  checkBothOrNeither,
  checkResult,
  checkSameBytes,
  checkStored,
  checkNothingAfterFinal,
  checkMismatch,
  checkScope,
  checkRetention,
  checkTombstones,
  checkDropped,
  checkRefused,
];

/** The violations within one ticket. */
export function judgeCase(one: Case, isComplete: boolean): Violation[] {
  const invariants = isComplete ? [...ALWAYS, checkSettled, checkHeld, checkAbandoned] : ALWAYS;
  return invariants.flatMap((invariant) => invariant(one));
}

export function judge(evidence: Evidence): Verdict {
  const { events, rows, leftovers, policyOf, raced, isComplete } = evidence;
  const disturbances = disturbancesOf(events);
  const cases = toCases(events, rows, { policyOf, disturbances, turns: turnsOf(events) });
  const races = countRaces(cases);
  return {
    violations: [
      ...cases.flatMap((one) => judgeCase(one, isComplete)),
      ...checkSingleOperation(cases),
      ...cases.flatMap((one) => checkQuiet(one, disturbances)),
      ...checkLeftovers(leftovers),
      ...(isComplete ? checkRaces(races, raced) : []),
    ],
    tickets: cases.length,
    attempts: cases.reduce((sum, one) => sum + one.attempts.length, 0),
    effects: cases.reduce((sum, one) => sum + one.effects.length, 0),
    races,
    late: cases.reduce((sum, one) => sum + countLate(one, disturbances), 0),
    tombstones: cases.reduce((sum, one) => sum + countTombstones(one), 0),
    dropped: cases.reduce((sum, one) => sum + countDropped(one), 0),
    abandoned: countAbandoned(cases),
  };
}
