/** Turns declarations into the Markdown of a page. */
import type { Declared, Doc, Member } from "./declarations.ts";

/** Finds the section of a name, as a link target; `undefined` if the reference has none. */
export type FindSection = (name: string) => string | undefined;

interface Default {
  readonly range: string | undefined;
  readonly value: string | undefined;
}

/** Returns the section of one declaration. */
export function renderDeclared(declared: Declared, find: FindSection): string {
  const { name, kind, doc, code, members } = declared;
  const parts = [`## ${name}`];
  if (code !== undefined && kind !== "interface") parts.push(fence(code));
  parts.push(renderDoc(doc, find));
  if (code !== undefined && kind === "interface") parts.push(fence(code));
  for (const member of members) parts.push(renderMember(member, find));
  return parts.filter((part) => part !== "").join("\n\n");
}

function renderMember({ name, type, isRequired, doc }: Member, find: FindSection): string {
  const required = isRequired ? "" : ", optional";
  const shown = type === "" ? "" : `${inCode(type)}${required}`;
  return [`### ${name}`, shown, renderDoc(doc, find)].filter((part) => part !== "").join("\n\n");
}

/** Returns the section of a type whose members stand in the section of another one. */
export function renderPart(declared: Declared, find: FindSection): string {
  const names = declared.members.map(({ name }) => `[\`${name}\`](#${name.toLowerCase()})`);
  const doc = renderDoc(declared.doc, find);
  return [`## ${declared.name}`, doc, `Members: ${names.join(", ")}.`].join("\n\n");
}

/**
 * Returns a table of the members that can be set: name, default, first sentence.
 *
 * @param route Has the members that a route can set, for a table with a column for them.
 */
export function renderTable(members: readonly Member[], route: Declared | undefined): string {
  const ofRoute = new Set(route?.members.map(({ name }) => name));
  const rows = members.map(({ name, doc, isRequired }) => {
    const shown = isRequired ? "required" : (defaultOf(doc) ?? "");
    const cells = [
      `[\`${name}\`](#${name.toLowerCase()})`,
      ...(route === undefined ? [] : [ofRoute.has(name) ? "yes" : "no"]),
      cell(shown),
      cell(firstSentence(doc)),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  const head = ["option", ...(route === undefined ? [] : ["route"]), "default", "meaning"];
  return [`| ${head.join(" | ")} |`, `| ${head.map(() => "---").join(" | ")} |`, ...rows].join(
    "\n",
  );
}

function renderDoc({ text, tags }: Doc, find: FindSection): string {
  const { range, value } = tagsIn(text);
  const parts = [withLinks(text.replace(INLINE, "").trim(), find)];
  const facts = [
    ...(range === undefined ? [] : [`- Range: ${range}`]),
    ...(value === undefined ? [] : [`- Default: ${value}`]),
  ];
  if (facts.length > 0) parts.push(facts.join("\n"));
  const own = tags.filter(({ name }) => name !== "example").map((tag) => renderTag(tag, find));
  if (own.length > 0) parts.push(own.join("\n"));
  for (const { name, text: example } of tags) if (name === "example") parts.push(fence(example));
  return parts.filter((part) => part !== "").join("\n\n");
}

const TAGS: Readonly<Record<string, string>> = {
  param: "Parameter",
  returns: "Returns",
  throws: "Throws",
  range: "Range:",
};

function renderTag(tag: Doc["tags"][number], find: FindSection): string {
  const label = TAGS[tag.name] ?? tag.name;
  const [first = "", ...rest] = tag.text.split(/\s+/);
  if (tag.name === "default") return `- Default: ${withLinks(tagValue(tag.text), find)}`;
  const named = tag.name === "param" ? `\`${first}\` ${rest.join(" ")}` : tag.text;
  return `- ${label} ${withLinks(flat(named), find)}`;
}

// `@range 0–10 @default 5` (because …), in the running text.
const INLINE = /`(?=@)(?:@range\s([^@`]+?))?\s?(?:@default\s([^`]+))?`(?:\s\(([^)]*)\))?\.?/;

function tagsIn(text: string): Default {
  const [, range, value, why] = INLINE.exec(text) ?? [];
  if (value === undefined) return { range, value };
  const reason = why === undefined ? "" : ` (${flat(why)})`;
  return { range, value: `${inCode(value)}${reason}` };
}

/** Returns the default of an option, from its tags or from the sentence that names it. */
function defaultOf({ text, tags }: Doc): string | undefined {
  const { value } = tagsIn(text);
  if (value !== undefined) return value;
  const tag = tags.find(({ name }) => name === "default");
  if (tag !== undefined) return tagValue(tag.text);
  const [, quoted] = /(`[^`]+`) \(default\b/.exec(flat(text)) ?? [];
  const [, spoken] = /\bDefault:? (`[^`]+`|.+?)(?=[.;:](?: |$)| \(|$)/.exec(flat(text)) ?? [];
  return quoted ?? spoken;
}

/** Sets the value of a `@default` as code, and its reason behind it. */
function tagValue(text: string): string {
  const [, value = text, reason = ""] = /^([^]*?)(\s\([^]*\)|\s`[^]*)?\.?$/.exec(text) ?? [];
  const shown = value.includes("`") || /[a-z] [a-z]/.test(value) ? value : inCode(value);
  return flat(`${shown}${reason}`);
}

function firstSentence({ text }: Doc): string {
  const plain = flat(text.replace(INLINE, "").replaceAll(/\{@link (\w+)[^}]*\}/g, "`$1`"));
  const [sentence = plain] = /^(?:`[^`]*`|[^`])*?[.:](?= |$)/.exec(plain) ?? [];
  return sentence.replace(/[.:]$/, "");
}

/** Makes links of `{@link Name}`, and keeps `<` from being read as HTML. */
function withLinks(text: string, find: FindSection): string {
  const linked = text.replaceAll(/\{@link\s+([\w.]+)[^}]*\}/g, (_all, name: string) => {
    const target = find(name.split(".", 1)[0] ?? name);
    return target === undefined ? inCode(name) : `[\`${name}\`](${target})`;
  });
  return linked.replaceAll(/(`[^`]*`)|</g, (_all, code: string | undefined) => code ?? "&lt;");
}

function flat(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim();
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll(/(`[^`]*`)|</g, (_all, code) => code ?? "&lt;");
}

function inCode(text: string): string {
  return `\`${text}\``;
}

function fence(code: string): string {
  // A language that the documentation's tests do not compile: signatures are no programs.
  return `\`\`\`typescript\n${code.trim()}\n\`\`\``;
}
