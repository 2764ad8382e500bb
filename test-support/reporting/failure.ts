/** A failed test in plain text: its name, its errors with diff and location, and what it printed. */
import { readFileSync } from "node:fs";
import { isAbsolute, relative } from "node:path";
import { stripVTControlCharacters } from "node:util";
import type { SerializedError } from "vitest/node";

export interface Failure {
  /** File, suites and test, separated by ` > `. */
  readonly name: string;
  readonly project: string;
  readonly errors: readonly SerializedError[];
  /** Output of the test. */
  readonly output: string;
}

const LINES_AROUND = 2;

/** @param root the folder to which paths are relative. */
export function describeFailures(failures: readonly Failure[], root: string): string {
  return stripVTControlCharacters(failures.map((one) => describe(one, root)).join("\n"));
}

function describe({ name, project, errors, output }: Failure, root: string): string {
  const lines = [`FAILED  ${project === "" ? "" : `[${project}] `}${name}`];
  for (const error of errors) lines.push(indent(describeError(error, root)));
  if (output.trim() !== "") lines.push(indent(`printed by the test:\n${indent(output.trimEnd())}`));
  return `${lines.join("\n")}\n`;
}

function describeError(error: SerializedError, root: string): string {
  const { name = "Error", message, diff, cause } = error;
  const parts = [message.startsWith(name) ? message : `${name}: ${message}`];
  if (typeof diff === "string") parts.push(diff);
  parts.push(...describePlace(error, root));
  // A cause that is no error has no message.
  if (typeof cause?.message === "string") parts.push(`caused by ${describeError(cause, root)}`);
  return parts.join("\n");
}

/** The frames of the stack, and the source around the first one that is the project's. */
function describePlace({ stacks = [] }: SerializedError, root: string): string[] {
  const frames = stacks.map(
    ({ file, line, column, method }) =>
      `at ${method === "" ? "" : `${method} `}${shorten(file, root)}:${line}:${column}`,
  );
  const own = stacks.find(({ file }) => isAbsolute(file) && !file.includes("node_modules"));
  return own === undefined ? frames : [...frames, ...sourceAround(own.file, own.line)];
}

function sourceAround(file: string, line: number): string[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return [];
  }
  const from = Math.max(0, line - 1 - LINES_AROUND);
  const shown = text.split("\n").slice(from, line + LINES_AROUND);
  return shown.map((content, index) => {
    const number = from + index + 1;
    return `${number === line ? ">" : " "} ${String(number).padStart(4)}| ${content}`;
  });
}

function shorten(file: string, root: string): string {
  const path = relative(root, file);
  return path.startsWith("..") ? file : path;
}

function indent(text: string): string {
  return text.replaceAll(/^(?=.)/gm, "    ");
}
