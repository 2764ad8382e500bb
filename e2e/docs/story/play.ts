/** Plays the story of `docs/story.md`: a phone, a lost reply, a crash, a second tab and an operator. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { BrowserContext, Page } from "playwright-core";
import { Pool } from "pg";
import { buildFiles } from "../../shop/page-files.ts";
import { shopperOf } from "../../shop/shopper.ts";

const ROOT = join(import.meta.dirname, "../../..");

/** The output of each chapter, by the name of its block in the page. */
export type Story = ReadonlyMap<string, string>;

export interface Stage {
  /** Address of the shop. */
  readonly origin: string;
  readonly databaseUrl: string;
  readonly newContext: (options: {
    readonly viewport: { readonly width: number; readonly height: number };
  }) => Promise<BrowserContext>;
}

/** The files of the shop's page. */
export function buildTrainPage(): ReturnType<typeof buildFiles> {
  return buildFiles(join(ROOT, "e2e/browser/page"), { train: "train.html" });
}

export async function playStory({ origin, databaseUrl, newContext }: Stage): Promise<Story> {
  const phone = await newContext({ viewport: { width: 390, height: 844 } });
  // The full jitter of a wait, at its longest: the page crashes before the wait ends.
  await phone.addInitScript({ content: "Math.random = () => 0.999" });
  const first = await openTab(phone, `${origin}/train.html?fault=drop-reply`);
  const second = await openTab(phone, `${origin}/train.html`);

  const waits = first.logged("waiting");
  // It never ends: its page is gone.
  void first.call("pay").catch(() => undefined);
  await waits;
  await crash(phone, first.page);

  await second.call("pay");
  const reopened = await openTab(phone, `${origin}/train.html`);
  await reopened.call("start");
  await reopened.call("pay");

  const key = /key (\S+):/.exec(first.output())?.[1] ?? "";
  const [cookie] = await phone.cookies();
  const shopper = shopperOf(`${cookie?.name}=${cookie?.value}`) ?? "";
  const inspected = await oncekey(databaseUrl, ["inspect", key, "--scope", shopper]);
  return new Map([
    ["phone", first.output()],
    ["second tab", second.output()],
    ["reopened", reopened.output()],
    ["inspect", `$ npx oncekey inspect ${key} --scope ${shopper}\n${inspected}`],
    ["charges", await readCharges(databaseUrl)],
  ]);
}

/** Replaces what differs between two plays: keys, other identifiers, digests and times. */
export function mask(text: string): string {
  return text
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<id>")
    .replaceAll(/\b[0-9a-f]{32,}\b/g, "<digest>")
    .replaceAll(/\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}[\d:.]*(Z|[+-][\d:]+| UTC)?/g, "<time>")
    .replaceAll(/\(in [^)]*\)|\([^)]* ago\)/g, "(<time>)");
}

interface Tab {
  readonly page: Page;
  readonly call: (name: "pay" | "start") => Promise<void>;
  readonly output: () => string;
  /** Resolves when the page has logged a line that begins so. */
  readonly logged: (beginning: string) => Promise<unknown>;
}

async function openTab(context: BrowserContext, url: string): Promise<Tab> {
  const page = await context.newPage();
  const lines: string[] = [];
  page.on("console", (message) => lines.push(message.text()));
  await page.goto(url);
  return {
    page,
    call: (name) =>
      page.evaluate(
        (called) =>
          (globalThis as unknown as Record<string, () => Promise<void>>)[
            called
          ]?.() as Promise<void>,
        name,
      ),
    output: () => lines.join("\n"),
    logged: (beginning) =>
      page.waitForEvent("console", (message) => message.text().startsWith(beginning)),
  };
}

async function crash(context: BrowserContext, page: Page): Promise<void> {
  const crashed = page.waitForEvent("crash");
  const devtools = await context.newCDPSession(page);
  void devtools.send("Page.crash").catch(() => undefined);
  await crashed;
}

async function oncekey(databaseUrl: string, args: readonly string[]): Promise<string> {
  const main = join(ROOT, "server/src/cli/main.ts");
  const command = ["--conditions=@oncekey/source", main, ...args, "--database-url", databaseUrl];
  const { stdout } = await promisify(execFile)(process.execPath, command);
  return stdout.trimEnd();
}

async function readCharges(databaseUrl: string): Promise<string> {
  const pool = new Pool({ connectionString: databaseUrl, max: 1 });
  try {
    const sql = "select id, cart, amount_cents from charges";
    const { rows } = await pool.query<Record<string, string | number>>(sql);
    const lines = rows.map((row) => Object.values(row).join(" | "));
    return [`=> ${sql};`, Object.keys(rows[0] ?? {}).join(" | "), ...lines].join("\n");
  } finally {
    await pool.end();
  }
}
