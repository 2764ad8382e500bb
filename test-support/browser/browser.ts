/** A real Chromium from npm, with the libraries and fonts that it needs, in a temporary folder. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
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
  const folder = await mkdtemp(join(tmpdir(), "oncekey-chromium-"));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const browser = await chromium.launch({
      executablePath: await unpack(folder),
      // Its sandbox needs rights that a container or root does not have; it opens nothing but pages of this project.
      args: ["--no-sandbox", ...args],
      ignoreDefaultArgs: [...without],
      env: {
        ...process.env,
        HOME: folder,
        LD_LIBRARY_PATH: join(folder, "al2023", "lib"),
        FONTCONFIG_FILE: await configureFonts(folder),
      },
    });
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

// Unpacked into TMPDIR, and taken from there unasked: in the common one that may be somebody else's, or half there.
async function unpack(folder: string): Promise<string> {
  const before = process.env["TMPDIR"];
  process.env["TMPDIR"] = folder;
  try {
    const main = fileURLToPath(import.meta.resolve("@sparticuz/chromium"));
    const libraries = join(main, "..", "..", "..", "bin", "al2023.tar.br");
    const [program] = await Promise.all([packed.executablePath(), inflate(libraries)]);
    return program;
  } finally {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
  }
}

/** The one font that comes along, and the system's: without any, a page that awaits its own fonts has no text. */
async function configureFonts(folder: string): Promise<string> {
  const file = join(folder, "fonts.conf");
  const directories = [join(folder, "fonts"), "/usr/share/fonts"];
  const lines = directories.map((directory) => `<dir>${directory}</dir>`).join("");
  const cache = `<cachedir>${join(folder, "font-cache")}</cachedir>`;
  await writeFile(file, `<?xml version="1.0"?><fontconfig>${lines}${cache}</fontconfig>`);
  return file;
}
