/** Every press of Pay since the tab was opened, with its attempts: what the timeline shows, and a reload does not lose. */
import type { Answer, Attempt } from "../attempts.ts";
import type { Via } from "../../shop/wire.ts";
import { announce } from "./status.ts";

export interface Payment {
  /** Cause of the payment. */
  readonly title: string;
  readonly via: Via;
  readonly cart: string;
  readonly attempts: ListedAttempt[];
  readonly notes: string[];
}

export interface ListedAttempt extends Attempt {
  /** ISO 8601. */
  readonly startedAt: string;
  /** Undefined while it is awaited, and for ever if the page was left before. */
  answer?: Answer;
}

/** A payment that is under way. */
export interface OpenPayment {
  readonly record: (attempt: Attempt) => (answer: Answer) => void;
  readonly note: (text: string) => void;
}

export interface Payments {
  readonly all: readonly Payment[];
  begin(payment: Pick<Payment, "title" | "via" | "cart">): OpenPayment;
}

const ENTRY = "shop.payments";
/** Older ones would only be scrolled past. */
const KEPT = 12;
const LEFT: Answer = { kind: "lost", text: "the page was left before an answer came", tookMs: 0 };

export function createPayments(storage: Storage, onChange: () => void): Payments {
  const all = JSON.parse(storage.getItem(ENTRY) ?? "[]") as Payment[];
  for (const attempt of all.flatMap(({ attempts }) => attempts)) attempt.answer ??= LEFT;
  const changed = (): void => {
    storage.setItem(ENTRY, JSON.stringify(all));
    onChange();
  };
  return {
    all,
    begin(started) {
      const payment: Payment = { ...started, attempts: [], notes: [] };
      all.splice(0, all.length - KEPT + 1);
      all.push(payment);
      changed();
      return {
        record(attempt) {
          const listed: ListedAttempt = { ...attempt, startedAt: new Date().toISOString() };
          payment.attempts.push(listed);
          changed();
          return (answer) => {
            listed.answer = answer;
            announce(`Attempt ${payment.attempts.indexOf(listed) + 1}: ${answer.text}`);
            changed();
          };
        },
        note(text) {
          payment.notes.push(text);
          changed();
        },
      };
    },
  };
}
