/**
 * Draws the payments, the last one first, each with its attempts and its charges in the database.
 */
import { FAULT_WORDS } from "./faults.ts";
import { find, make } from "./element.ts";
import type { Charges } from "./charges.ts";
import type { ListedAttempt, Payment } from "./payments.ts";

const COLUMNS = ["Attempt", "Key", "Fault", "Answer", "Time"];

export function drawTimeline(payments: readonly Payment[], charges: Charges): void {
  find("empty", HTMLElement).hidden = payments.length > 0;
  const items = payments.map((payment) => drawPayment(payment, charges)).toReversed();
  find("timeline", HTMLOListElement).replaceChildren(...items);
}

function drawPayment(payment: Payment, charges: Charges): HTMLElement {
  const { title, attempts, notes } = payment;
  const table = make(
    "table",
    {},
    make("caption", {}, title),
    make("thead", {}, row("th", COLUMNS)),
    make("tbody", {}, ...attempts.map(drawAttempt)),
  );
  const said = notes.map((text) => make("p", { className: "note" }, text));
  return make("li", {}, table, ...said, drawVerdict(payment, charges));
}

function drawAttempt(attempt: ListedAttempt, index: number): HTMLElement {
  const { key, fault, answer, startedAt } = attempt;
  const time = new Date(startedAt).toLocaleTimeString([], { hour12: false });
  const took = answer === undefined || answer.tookMs === 0 ? "" : ` · ${answer.tookMs} ms`;
  const line = row("td", [
    String(index + 1),
    drawKey(key),
    fault === undefined ? "none" : FAULT_WORDS[fault].name,
    answer?.text ?? "…",
    `${time}${took}`,
  ]);
  line.dataset["kind"] = answer?.kind ?? "waiting";
  return line;
}

/** The same key has the same colour and the same ends; the middle is in the title. */
function drawKey(key: string | undefined): Node | string {
  if (key === undefined) return "no key";
  const element = make("code", { title: key }, `${key.slice(0, 4)}…${key.slice(-6)}`);
  element.style.setProperty("--hue", String(Number.parseInt(key.slice(-4), 16) % 360));
  return element;
}

function drawVerdict({ via, cart, attempts }: Payment, charges: Charges): HTMLElement {
  const count = charges.of(via, cart);
  const kind = count > 1 ? "too-many" : count === 1 ? "right" : "none";
  const keys = new Set(attempts.map(({ key }) => key)).size;
  const verdict = make("p", { className: "verdict" }, VERDICTS[kind](count, attempts.length, keys));
  verdict.dataset["kind"] = kind;
  return verdict;
}

const VERDICTS = {
  none: () => "This cart has not been charged.",
  right: (_count: number, attempts: number, keys: number) =>
    attempts > 1 && keys === 1
      ? `${attempts} attempts with one key: to the shop they were one payment, charged once.`
      : "This cart was charged once.",
  "too-many": (count: number) =>
    `This cart was charged ${count} times. To the shop, every attempt looked like another order.`,
};

function row(cell: "td" | "th", texts: readonly (Node | string)[]): HTMLTableRowElement {
  return make(
    "tr",
    {},
    ...texts.map((text) => {
      const element = make(cell, {}, text);
      if (element instanceof HTMLTableCellElement && cell === "th") element.scope = "col";
      return element;
    }),
  );
}
