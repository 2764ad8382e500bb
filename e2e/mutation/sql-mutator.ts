/** Mutants of SQL in the strings and templates of a source file: a dropped condition, a flipped comparison, two swapped parameters. */
import ts from "typescript-5";
import { collapse } from "./result.ts";

export interface SqlMutant {
  readonly mutator: "SqlCondition" | "SqlComparison" | "SqlParameters";
  readonly line: number;
  /** The statement around the place, without and with the change, on one line. */
  readonly original: string;
  readonly replacement: string;
  /** The whole source file with the change. */
  readonly source: string;
}

/** Replacement of a part of a statement. */
interface Edit {
  readonly mutator: SqlMutant["mutator"];
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const SQL =
  /\$\d+::|statement_timestamp\(\)|\bis (not )?null\b|\b(select|insert into|update|delete from)\b[^]*\b(from|set|values|where)\b/;
const SHOWN_BEFORE = 70;
const SHOWN_AFTER = 30;

/** Returns every mutant of the statements in a source file. */
export function mutateSql(source: string): SqlMutant[] {
  return statementsOf(source).flatMap(({ start, text }) => {
    // Expressions within a template are names of values, whose own texts are mutated by themselves.
    const masked = text.replaceAll(/\$\{[^}]*\}/g, (found) => "_".repeat(found.length));
    if (!SQL.test(masked)) return [];
    const edits = [
      ...droppedConditions(masked),
      ...flippedComparisons(masked),
      ...swappedParameters(masked, text),
    ];
    return edits.map((edit) => toMutant(source, start, text, edit));
  });
}

function toMutant(source: string, start: number, text: string, edit: Edit): SqlMutant {
  const mutated = text.slice(0, edit.start) + edit.text + text.slice(edit.end);
  const from = Math.max(0, edit.start - SHOWN_BEFORE);
  const tail = text.slice(edit.end, edit.end + SHOWN_AFTER);
  return {
    mutator: edit.mutator,
    line: source.slice(0, start + edit.start).split("\n").length,
    original: collapse(text.slice(from, edit.end) + tail),
    replacement: collapse(text.slice(from, edit.start) + edit.text + tail),
    source: source.slice(0, start) + mutated + source.slice(start + text.length),
  };
}

interface Statement {
  readonly start: number;
  readonly text: string;
}

function statementsOf(source: string): Statement[] {
  const found: Statement[] = [];
  const file = ts.createSourceFile("source.ts", source, ts.ScriptTarget.Latest, true);
  const visit = (node: ts.Node): void => {
    if (
      ts.isStringLiteral(node) ||
      ts.isNoSubstitutionTemplateLiteral(node) ||
      ts.isTemplateExpression(node)
    ) {
      const start = node.getStart(file) + 1;
      found.push({ start, text: source.slice(start, node.getEnd() - 1) });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

// The end of an operand of AND, outside of parentheses.
const BOUNDARY =
  /^(?:\b(?:and|or|then|when|else|end|order by|group by|limit|for|on|returning|union|set|where|as)\b|,)/;

/** Drops each operand of an AND, and turns the only condition of a WHERE into `true`. */
function droppedConditions(masked: string): Edit[] {
  const edits: Edit[] = [];
  const drop = (start: number, end: number, text = ""): void => {
    edits.push({ mutator: "SqlCondition", start, end, text });
  };
  for (const { index, 0: word } of masked.matchAll(/\s*\band\b(?! chain)/g))
    drop(index, operandEnd(masked, index + word.length));
  const firsts = [...masked.matchAll(/\bwhere\s+/g)].map(
    ({ index, 0: word }) => index + word.length,
  );
  // A text of conditions alone, which statements share.
  if (
    !/^\s*\(*\s*(select|insert|update|delete|with|set|case|commit)\b/.test(masked) &&
    firsts.length === 0
  )
    firsts.push(0);
  for (const start of firsts) {
    const end = operandEnd(masked, start);
    const next = /^\s*and\s+/.exec(masked.slice(end));
    if (next !== null) drop(start, end + next[0].length);
    else if (start > 0 && end > start) drop(start, end, "true");
  }
  return edits;
}

function operandEnd(masked: string, from: number): number {
  let depth = 0;
  let at = from;
  for (; at < masked.length; at += 1) {
    const sign = masked[at];
    if (sign === "(") depth += 1;
    if (sign === ")") depth -= 1;
    if (depth < 0) break;
    const isWordStart = !/\w/.test(masked[at - 1] ?? " ");
    if (depth === 0 && at > from && isWordStart && BOUNDARY.test(masked.slice(at))) break;
  }
  return from + masked.slice(from, at).trimEnd().length;
}

const FLIPS: readonly (readonly [pattern: RegExp, text: string])[] = [
  [/(?<![<>=-])<=/g, ">"],
  [/(?<![<>=-])>=/g, "<"],
  [/(?<![<>=-])<(?![=>])/g, ">="],
  [/(?<![<>=-])>(?![=>])/g, "<="],
  [/<>/g, "="],
  [/\bis not null\b/g, "is null"],
  [/\bis null\b/g, "is not null"],
  [/\bis not true\b/g, "is true"],
  [/(?<!\bis )\bnot (?!null\b|materialized\b)/g, ""],
];

function flippedComparisons(masked: string): Edit[] {
  const edits = FLIPS.flatMap(([pattern, text]) =>
    [...masked.matchAll(pattern)].map(({ index, 0: found }): Edit => {
      return { mutator: "SqlComparison", start: index, end: index + found.length, text };
    }),
  );
  for (const { index } of masked.matchAll(/(?<![<>=:])=(?![=>])/g))
    if (isComparison(masked, index))
      edits.push({ mutator: "SqlComparison", start: index, end: index + 1, text: "<>" });
  return edits;
}

/** Whether an equals sign compares: behind SET and its commas, it assigns. */
function isComparison(masked: string, index: number): boolean {
  if (/^=\s*null\b/.test(masked.slice(index))) return false;
  const before = [...masked.slice(0, index).matchAll(/\b(?:where|and|or|on|when|set|local)\b|,/g)];
  const last = before.at(-1)?.[0];
  // A text of conditions joins them; a list of assignments has a comma before its first condition.
  if (last === undefined) return /^[^,]*\b(?:and|or)\b/.test(masked);
  return last !== "set" && last !== "local" && last !== ",";
}

/** Swaps each two parameters of one type that follow each other. */
function swappedParameters(masked: string, text: string): Edit[] {
  const types = new Map<number, string>();
  for (const [, digits, type = ""] of masked.matchAll(/\$(\d+)(?:::(\w+))?/g))
    types.set(Number(digits), type);
  const numbers = [...types.keys()].toSorted((one, other) => one - other);
  return numbers.flatMap((one, index) => {
    const other = numbers.slice(index + 1).find((later) => types.get(later) === types.get(one));
    if (other === undefined) return [];
    const swapped = text.replaceAll(/\$(\d+)/g, (found, digits) => {
      if (Number(digits) === one) return `$${other}`;
      return Number(digits) === other ? `$${one}` : found;
    });
    return [{ mutator: "SqlParameters", ...difference(text, swapped) }];
  });
}

/** Returns the part in which two texts of one length differ. */
function difference(text: string, other: string): Omit<Edit, "mutator"> {
  const differs = Array.from(other, (sign, index) => sign !== text[index]);
  const [start, end] = [differs.indexOf(true), differs.lastIndexOf(true) + 1];
  return { start, end, text: other.slice(start, end) };
}
