import { expect } from "vitest";
import type { Finding } from "../../src/cli/doctor/finding.ts";
import { oncekey } from "./command.ts";
import type { Surroundings } from "./command.ts";

/** Returns the doctor's findings by check. Fails unless the command ends with `code`. */
export async function diagnose(
  url: string,
  code: number,
  args: readonly string[] = [],
  surroundings: Surroundings = {},
): Promise<Readonly<Record<string, Finding>>> {
  const command = ["doctor", "--json", "--database-url", url, ...args];
  const end = await oncekey(command, surroundings);
  expect(end.code, end.out + end.err).toBe(code);
  const findings = JSON.parse(end.out) as Finding[];
  return Object.fromEntries(findings.map((finding) => [finding.check, finding]));
}
