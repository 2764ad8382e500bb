/** Asks a person before something that cannot be undone. */
import { createInterface } from "node:readline";
import { UsageError } from "./exit-code.ts";

/** Returns whether a person at the terminal answers `question` with yes. @throws UsageError without a terminal. */
export async function isConfirmed(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new UsageError(
      "standard input is no terminal, so the question cannot be answered; --yes goes on without asking",
    );
  }
  const answer = await ask(`${question} [y/N] `);
  return /^y(es)?$/i.test(answer.trim());
}

// Ctrl-C and Ctrl-D close the question unanswered, which is a no.
function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  return new Promise((resolve) => {
    terminal.once("close", () => resolve(""));
    terminal.question(question, (answer) => {
      resolve(answer);
      terminal.close();
    });
  });
}
