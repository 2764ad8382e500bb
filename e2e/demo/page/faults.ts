/** One switch for each fault. */
import { FAULT_KINDS } from "../../fault-proxy/fault.ts";
import type { Fault, FaultKind } from "../../fault-proxy/fault.ts";
import { find, make } from "./element.ts";

interface Words {
  readonly name: string;
  readonly note: string;
}

export const FAULT_WORDS: Readonly<Record<FaultKind, Words>> = {
  "drop-reply": {
    name: "Drop the reply",
    note: "The money is taken; the answer is lost on the way.",
  },
  "cut-body": {
    name: "Cut the body",
    note: "The money is taken; the answer breaks off half-way.",
  },
  delay: {
    name: "Delay",
    note: "The answer comes too late. Time to reload the page, too.",
  },
  "answer-503": {
    name: "Answer 503",
    note: "The money is taken; a gateway reports an error instead.",
  },
  "sign-in": {
    name: "End the session",
    note: "No money is taken; the answer is a page to sign in.",
  },
  "kill-server": {
    name: "Kill the server",
    note: "The server that took the money dies; the other takes over.",
  },
};

/** Draws the switches. The result reads which faults are on. */
export function createFaultSwitches(onChange: () => void): () => Fault[] {
  const inputs = FAULT_KINDS.map((kind) => {
    const { name, note } = FAULT_WORDS[kind];
    const id = `fault-${kind}`;
    const input = make("input", { type: "checkbox", id, autocomplete: "off" });
    input.setAttribute("role", "switch");
    input.setAttribute("aria-describedby", `${id}-note`);
    input.addEventListener("change", onChange);
    const label = make("label", { className: "switch" }, input, make("span", {}, name));
    find("faults", HTMLUListElement).append(
      make("li", {}, label, make("p", { id: `${id}-note` }, note)),
    );
    return { kind, input };
  });
  return () => inputs.filter(({ input }) => input.checked).map(({ kind }) => ({ kind }));
}
