/** Prints the command's output to a terminal or a pipe. */

export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** One document and nothing else on standard output, for programs. */
export function printJson(value: unknown): void {
  printLine(JSON.stringify(value, null, 2));
}

/** Prints notes beside the result to standard error: they stay out of a pipe. */
export function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}

/**
 * Escapes the control characters of a record's text: scopes, targets, headers and bodies come from callers, and a terminal obeys
 * control characters. Line ends and tabs stay if `lines` is given.
 */
export function printable(text: string, lines?: "lines"): string {
  return text.replace(UNSAFE, (character) => {
    if (lines === "lines" && (character === "\n" || character === "\t")) return character;
    return `\\u{${character.codePointAt(0)?.toString(16)}}`;
  });
}

// Control characters, and the format characters that reorder or hide text around them.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

export function count(number: number, noun: string): string {
  return `${number.toLocaleString("en-US")} ${noun}${number === 1 ? "" : "s"}`;
}

export function formatBytes(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let size = bytes;
  let unit = 0;
  for (; size >= 1_000 && unit < units.length - 1; unit += 1) size /= 1_000;
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 2 * 3_600_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 48 * 3_600_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} days`;
}
