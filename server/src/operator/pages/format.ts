/** Texts of figures, states and instants. */
import type { Html } from "./html.ts";
import { html } from "./html.ts";

export type Tone = "good" | "warn" | "bad" | "plain";

const STATES: Readonly<Record<string, readonly [label: string, tone: Tone]>> = {
  finished: ["Finished", "good"],
  tombstone: ["Response expired", "plain"],
  running: ["Running", "warn"],
  crashed: ["Crashed", "bad"],
  failed: ["Failed", "bad"],
  expired: ["Expired", "plain"],
};

export function stateBadge(state: string): Html {
  const [label, tone] = STATES[state] ?? [state, "plain"];
  return html`<span class="badge" data-tone="${tone}">${label}</span>`;
}

const OUTCOMES: Readonly<Record<string, Tone>> = {
  claimed: "good",
  keyless: "good",
  replay: "good",
  stored: "good",
  committed: "good",
  absent: "plain",
  released: "plain",
  "in-flight": "plain",
  mismatch: "warn",
  conflict: "warn",
  busy: "warn",
  refused: "warn",
  expired: "warn",
};

/** Unknown outcomes are those to look at. */
export function toneOf(outcome: string): Tone {
  return OUTCOMES[outcome] ?? "bad";
}

export function outcomeBadge(outcome: string): Html {
  return html`<span class="badge" data-tone="${toneOf(outcome)}">${outcome}</span>`;
}

export function count(number: number): string {
  return number.toLocaleString("en-US");
}

const UNITS = [
  ["day", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
] as const;

export function duration(ms: number): string {
  for (const [unit, unitMs] of UNITS) {
    if (ms < unitMs) continue;
    const amount = Math.floor(ms / unitMs);
    return `${amount} ${unit === "day" && amount > 1 ? "days" : unit}`;
  }
  return ms <= 0 ? "none" : "under 1 s";
}

/** An ISO instant, to the second. */
export function instant(iso: string): Html {
  const text = `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
  return html`<time datetime="${iso}">${text}</time>`;
}
