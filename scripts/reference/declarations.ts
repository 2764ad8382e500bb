/** Reads the exported declarations of the packages with the compiler, with their doc comments. */
import ts from "typescript-5";
import { ENTRIES } from "./pages.ts";

/** A declaration as a page shows it. */
export interface Declared {
  readonly name: string;
  /** The file that declares it. */
  readonly origin: string;
  readonly kind: "interface" | "class" | "function" | "constant" | "type";
  readonly doc: Doc;
  /** The signature of a function, the value of a constant, the text of a type. */
  readonly code: string | undefined;
  /** Members of an object type, or the documented literals of a union. */
  readonly members: readonly Member[];
}

export interface Member {
  readonly name: string;
  readonly type: string;
  readonly isRequired: boolean;
  readonly doc: Doc;
  /** Name of the type that declares the member. */
  readonly from: string;
}

/** A doc comment: its text, and the tags behind it. */
export interface Doc {
  readonly text: string;
  readonly tags: readonly { readonly name: string; readonly text: string }[];
}

// The compiler's API that has no successor yet: version 7 marks its own as unstable.
const COMPILER_OPTIONS: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2024,
  lib: ["lib.es2024.d.ts", "lib.esnext.disposable.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"],
  customConditions: ["@oncekey/source"],
  types: [],
  strict: true,
  noEmit: true,
  allowImportingTsExtensions: true,
  skipLibCheck: true,
};

/** Returns the exports of every entry, by the entry's name. */
export function readEntries(root: string): ReadonlyMap<string, readonly Declared[]> {
  const files = ENTRIES.map(({ source }) => root + source);
  const program = ts.createProgram(files, COMPILER_OPTIONS);
  const checker = program.getTypeChecker();
  return new Map(ENTRIES.map(({ name, source }) => [name, exportsOf(root + source)]));

  function exportsOf(path: string): readonly Declared[] {
    const file = program.getSourceFile(path);
    const module = file && checker.getSymbolAtLocation(file);
    if (module === undefined) throw new Error(`${path} has no exports`);
    return checker.getExportsOfModule(module).map((symbol) => describe(checker, symbol));
  }
}

function describe(checker: ts.TypeChecker, exported: ts.Symbol): Declared {
  const isAlias = (exported.flags & ts.SymbolFlags.Alias) !== 0;
  const symbol = isAlias ? checker.getAliasedSymbol(exported) : exported;
  const declarations = symbol.declarations ?? [];
  const [node] = declarations;
  if (node === undefined) throw new Error(`${exported.name} has no declaration`);
  const origin = node.getSourceFile().fileName;
  const base = { name: exported.name, origin, doc: docOf(checker, symbol) };
  if (ts.isInterfaceDeclaration(node)) {
    return {
      ...base,
      kind: "interface",
      code: callsOf(node),
      members: propertiesOf(checker, symbol),
    };
  }
  if (ts.isClassDeclaration(node)) {
    return {
      ...base,
      kind: "class",
      code: classHead(node),
      members: propertiesOf(checker, symbol),
    };
  }
  if (ts.isFunctionDeclaration(node)) {
    const overloads = declarations.filter(ts.isFunctionDeclaration);
    const shown =
      overloads.length > 1 ? overloads.filter((one) => one.body === undefined) : overloads;
    return { ...base, kind: "function", code: shown.map(signature).join("\n"), members: [] };
  }
  if (ts.isVariableDeclaration(node)) {
    return { ...base, kind: "constant", code: constant(node), members: [] };
  }
  if (ts.isTypeAliasDeclaration(node)) return { ...base, ...alias(checker, symbol, node) };
  throw new Error(`${exported.name}: no section for ${ts.SyntaxKind[node.kind]}`);
}

function alias(
  checker: ts.TypeChecker,
  symbol: ts.Symbol,
  node: ts.TypeAliasDeclaration,
): Pick<Declared, "kind" | "code" | "members"> {
  const literals = literalsOf(node.type);
  const isObject = ts.isTypeLiteralNode(node.type) || ts.isIntersectionTypeNode(node.type);
  const members = isObject ? propertiesOf(checker, symbol) : literals;
  const code = members.length > 0 ? undefined : dedent(`type ${head(node)} = ${textOf(node.type)}`);
  return { kind: "type", code, members };
}

/** Returns the literals of a union that have comments of their own. */
function literalsOf(type: ts.TypeNode): readonly Member[] {
  if (!ts.isUnionTypeNode(type)) return [];
  const text = type.getSourceFile().text;
  return type.types.flatMap((node) => {
    if (!ts.isLiteralTypeNode(node) || !ts.isStringLiteral(node.literal)) return [];
    const comments = ts.getLeadingCommentRanges(text, node.getFullStart()) ?? [];
    const before =
      ts.getLeadingCommentRanges(text, text.lastIndexOf("|", node.getStart()) - 1) ?? [];
    const range = comments.at(-1) ?? before.at(-1) ?? commentBefore(text, node.getStart());
    if (range === undefined) return [];
    const doc = { text: plain(text.slice(range.pos, range.end)), tags: [] };
    return [{ name: node.literal.text, type: "", isRequired: true, doc, from: "" }];
  });
}

/** Returns the comment that ends right before the bar in front of a literal. */
function commentBefore(text: string, start: number): { pos: number; end: number } | undefined {
  const before = text.slice(0, start).replace(/[|\s]+$/, "");
  if (!before.endsWith("*/")) return undefined;
  return { pos: before.lastIndexOf("/**"), end: before.length };
}

function plain(comment: string): string {
  return comment
    .replace(/^\/\*\*|\*\/$/g, "")
    .replace(/^\s*\* ?/gm, "")
    .trim();
}

function propertiesOf(checker: ts.TypeChecker, symbol: ts.Symbol): readonly Member[] {
  const type = checker.getDeclaredTypeOfSymbol(symbol);
  return checker.getPropertiesOfType(type).flatMap((property) => {
    // The first declaration with a comment: members of a union have several.
    const nodes = property.declarations?.filter(isOurs) ?? [];
    const node = nodes.find((one) => ts.getJSDocCommentsAndTags(one).length > 0) ?? nodes[0];
    if (node === undefined || node.getSourceFile().isDeclarationFile) return [];
    const { parent } = node;
    const named = ts.isInterfaceDeclaration(parent) || ts.isClassDeclaration(parent);
    const isOptional = (property.flags & ts.SymbolFlags.Optional) !== 0;
    return [
      {
        name: property.name,
        type: memberType(node),
        isRequired: !isOptional,
        doc: docOf(checker, property),
        from: named ? (parent.name?.text ?? "") : symbol.name,
      },
    ];
  });
}

type Property =
  | ts.PropertySignature
  | ts.MethodSignature
  | ts.PropertyDeclaration
  | ts.MethodDeclaration;

function isOurs(node: ts.Declaration): node is Property {
  const { fileName } = node.getSourceFile();
  if (fileName.includes("/node_modules/")) return false;
  return (
    ts.isPropertySignature(node) ||
    ts.isMethodSignature(node) ||
    (ts.isPropertyDeclaration(node) && !ts.isPrivateIdentifier(node.name)) ||
    ts.isMethodDeclaration(node)
  );
}

function memberType(node: Property): string {
  if (ts.isPropertySignature(node) || ts.isPropertyDeclaration(node)) {
    // A class's own name is the one property without a type.
    return oneLine(node.type === undefined ? "string" : textOf(node.type)).replace(
      / \| undefined$/,
      "",
    );
  }
  const parameters = node.parameters.map((one) => one.getText()).join(", ");
  const returned = node.type === undefined ? "void" : textOf(node.type);
  return oneLine(`${typeParameters(node)}(${parameters}) => ${returned}`);
}

/** Returns the call signatures of an interface, which are not members. */
function callsOf(node: ts.InterfaceDeclaration): string | undefined {
  const calls = node.members.filter(ts.isCallSignatureDeclaration);
  return calls.length === 0 ? undefined : calls.map((one) => dedent(one.getText())).join("\n");
}

function classHead(node: ts.ClassDeclaration): string {
  const bases = node.heritageClauses?.map((one) => ` ${one.getText()}`).join("") ?? "";
  return `class ${head(node)}${bases}`;
}

function signature(node: ts.FunctionDeclaration): string {
  const end = node.body?.getStart() ?? node.getEnd();
  const text = node.getSourceFile().text.slice(node.getStart(), end);
  return dedent(text.replace(/^export /, "").replace(/;?\s*$/, ";"));
}

function constant(node: ts.VariableDeclaration): string {
  const { initializer } = node;
  const isPlain =
    initializer !== undefined &&
    (ts.isStringLiteral(initializer) || ts.isNumericLiteral(initializer));
  const type = node.type === undefined ? "" : `: ${textOf(node.type)}`;
  const value = isPlain ? ` = ${initializer.getText()}` : "";
  return dedent(`const ${node.name.getText()}${type}${value}`);
}

function head(node: ts.ClassDeclaration | ts.TypeAliasDeclaration): string {
  return `${node.name?.text ?? ""}${typeParameters(node)}`;
}

function typeParameters(node: {
  readonly typeParameters?: ts.NodeArray<ts.Node> | undefined;
}): string {
  const given = node.typeParameters?.map((one) => one.getText()).join(", ");
  return given === undefined ? "" : `<${given}>`;
}

/** Returns the source of a type without the comments inside it. */
function textOf(node: ts.TypeNode): string {
  return dedent(node.getText().replace(/\/\*\*[^]*?\*\/\s*|^\s*\/\/.*\n/gm, ""));
}

function dedent(text: string): string {
  const indents = [...text.matchAll(/\n( *)(?=\S)/g)].map(([, spaces = ""]) => spaces.length);
  const least = indents.length === 0 ? 0 : Math.min(...indents);
  return text.replaceAll(new RegExp(`\\n {${least}}`, "g"), "\n").trim();
}

function oneLine(text: string): string {
  return text
    .replaceAll(/\s+/g, " ")
    .replaceAll(/([(<]) (?=\S)/g, "$1")
    .replaceAll(/,? ([)>])/g, "$1");
}

/** Reads the doc comment of a symbol; one without its own has that of the type it comes from. */
function docOf(checker: ts.TypeChecker, symbol: ts.Symbol): Doc {
  const comments = (symbol.declarations ?? []).flatMap((node) => {
    const owner = ts.isVariableDeclaration(node) ? node.parent.parent : node;
    return ts.getJSDocCommentsAndTags(owner).filter(ts.isJSDoc);
  });
  const [comment] = comments;
  if (comment !== undefined) return parseDoc(plain(comment.getText()));
  return parseDoc(ts.displayPartsToString(symbol.getDocumentationComment(checker)));
}

/** Splits a comment at the lines that begin with a tag. */
function parseDoc(comment: string): Doc {
  const [text = "", ...tags] = comment.split(/^(?=@[a-z]+\b)/m);
  return {
    text: text.trim(),
    tags: tags.map((tag) => {
      const [, name = "", rest = ""] = /^@([a-z]+)\s*([^]*)$/.exec(tag) ?? [];
      return { name, text: rest.trim() };
    }),
  };
}
