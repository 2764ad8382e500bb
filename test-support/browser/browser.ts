/** A real Chromium from npm, with the libraries and fonts that it needs. */
import { access, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import packed, { inflate } from "@sparticuz/chromium";
import { chromium } from "playwright-core";
import type { Browser } from "playwright-core";

export interface BrowserOptions {
  /** More arguments for Chromium. */
  readonly args?: readonly string[];
  /** Arguments that Playwright gives unasked, and that this one is not to get. */
  readonly without?: readonly string[];
}

export interface TestBrowser {
  readonly browser: Browser;
  /** Ends the browser and removes its folder. */
  readonly close: () => Promise<void>;
}

export async function launchBrowser({
  args = [],
  without = [],
}: BrowserOptions = {}): Promise<TestBrowser> {
  const files = await unpackOnce();
  const folder = await mkdtemp(join(tmpdir(), "oncekey-chromium-"));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const browser = await chromium.launch({
      // Ends only what hangs.
      timeout: 120_000,
      executablePath: join(files, PROGRAM),
      // Its sandbox needs rights that a container or root does not have; it opens nothing but pages of this project.
      args: ["--no-sandbox", ...args],
      ignoreDefaultArgs: [...without],
      env: {
        ...process.env,
        HOME: folder,
        LD_LIBRARY_PATH: join(files, "al2023", "lib"),
        FONTCONFIG_FILE: await configureFonts(folder, join(files, "fonts")),
      },
    });
    makePatient(browser);
    return {
      browser,
      async close() {
        await browser.close();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

// Ends only what hangs: Playwright's own limit of 30 s would decide a test on a busy machine.
const PATIENCE_MS = 150_000;

/** Gives every context, and so every page, time for what it waits for. */
function makePatient(browser: Browser): void {
  const create = browser.newContext.bind(browser);
  browser.newContext = async (options) => {
    const context = await create(options);
    context.setDefaultTimeout(PATIENCE_MS);
    return context;
  };
}

const PROGRAM = "chromium";
const PACKAGE = fileURLToPath(new URL("../..", import.meta.resolve("@sparticuz/chromium")));
const CACHE = fileURLToPath(new URL("../node_modules/.cache/", import.meta.url));

/** Unpacks Chromium, which takes seconds, into a folder of this project that every run uses again. */
async function unpackOnce(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(PACKAGE, "package.json"), "utf8")) as {
    readonly version: string;
  };
  const folder = join(CACHE, `chromium-${version}`);
  if (await isThere(folder)) return folder;
  await mkdir(CACHE, { recursive: true });
  const draft = await mkdtemp(join(CACHE, "chromium-draft-"));
  await unpack(draft);
  // Several test files may unpack at once: the first one is used.
  await rename(draft, folder).catch(() => rm(draft, { recursive: true }));
  return folder;
}

// The package unpacks into TMPDIR, and takes what it finds there: in the common one that may belong to another user, or be half
// there.
async function unpack(folder: string): Promise<void> {
  const before = process.env["TMPDIR"];
  process.env["TMPDIR"] = folder;
  try {
    await Promise.all([packed.executablePath(), inflate(join(PACKAGE, "bin", "al2023.tar.br"))]);
  } finally {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
  }
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** The one font that comes along, and the system's: without any, a page that awaits its own fonts has no text. */
async function configureFonts(folder: string, fonts: string): Promise<string> {
  const file = join(folder, "fonts.conf");
  const directories = [fonts, "/usr/share/fonts"];
  const lines = directories.map((directory) => `<dir>${directory}</dir>`).join("");
  const cache = `<cachedir>${join(folder, "font-cache")}</cachedir>`;
  await writeFile(file, `<?xml version="1.0"?><fontconfig>${lines}${cache}</fontconfig>`);
  return file;
}
