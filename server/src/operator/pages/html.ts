/** HTML as a tagged template: every value is escaped unless it is HTML of the same tag. */

const WHOLE: unique symbol = Symbol("oncekey.html");

/** Text that is HTML already. */
export interface Html {
  readonly [WHOLE]: string;
}

type Value = Html | string | number | undefined | null | false | readonly Value[];

/** Joins the parts. Keys, scopes and targets come from callers: they are escaped for text and for quoted attributes. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Html {
  return { [WHOLE]: parts.map((part, index) => part + write(values[index])).join("") };
}

export function toText(content: Html): string {
  return content[WHOLE];
}

function write(value: Value): string {
  if (value === undefined || value === null || value === false) return "";
  if (typeof value === "string" || typeof value === "number") return escape(String(value));
  return WHOLE in value ? value[WHOLE] : value.map(write).join("");
}

function escape(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return "&<>\"'`".includes(character) ? `&#${code};` : `\\u{${code.toString(16)}}`;
  });
}

// Control and format characters are shown by their code: they could reorder or hide what stands beside them.
const UNSAFE = /[&<>"'`\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
