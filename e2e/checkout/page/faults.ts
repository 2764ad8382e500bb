/** One switch for each fault. */
import { FAULT_KINDS } from "../../faults/fault.ts";
import type { Fault, FaultKind } from "../../faults/fault.ts";
import { find, make } from "./element.ts";

interface Words {
  readonly name: string;
  readonly note: string;
}

export const FAULT_WORDS: Readonly<Record<FaultKind, Words>> = {
  "drop-reply": {
    name: "Drop the reply",
    note: "The shop takes the money, then the connection dies before it can say so.",
  },
  "cut-body": {
    name: "Cut the body",
    note: "The answer begins to arrive and breaks off half-way.",
  },
  delay: {
    name: "Delay",
    note: "The answer is ready but comes too late. Time to reload the page, if you like.",
  },
  "answer-503": {
    name: "Answer 503",
    note: "The shop takes the money; a gateway on the way reports an error instead.",
  },
  "kill-server": {
    name: "Kill the server",
    note: "The server that took the money dies on the spot. The other one takes over.",
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
