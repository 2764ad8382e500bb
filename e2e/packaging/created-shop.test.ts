/** The shop that `npm create oncekey` copies, from the packed command, in Chromium and on PostgreSQL. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { launchBrowser } from "@oncekey/test-support/browser/browser";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { freePort } from "@oncekey/test-support/processes/free-port";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { SOURCES, startServer } from "../docs/pasted.ts";

const ROOT = join(import.meta.dirname, "../..");
const run = promisify(execFile);

let folder = "";
let shop = "";
beforeAll(async () => {
  // Vite takes the client's build: the page has no condition of its own.
  await run(join(ROOT, "node_modules/.bin/tsc"), ["-b", "client", "server"], { cwd: ROOT });
  folder = await mkdtemp(join(tmpdir(), "created-"));
  await run("npm", ["pack", "--pack-destination", folder], { cwd: join(ROOT, "create-oncekey") });
  const [tarball = ""] = await readdir(folder);
  await run("tar", ["-xzf", tarball], { cwd: folder });
  shop = join(folder, "my-shop");
  await run(process.execPath, [join(folder, "package/create.js"), "my-shop"], { cwd: folder });
  await symlink(join(ROOT, "create-oncekey/node_modules"), join(shop, "node_modules"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("npm create oncekey", () => {
  it("copies the files of a shop, with its name and a .gitignore", async () => {
    const files = (await readdir(shop)).filter((name) => name !== "node_modules");
    expect(files.toSorted()).toEqual(
      ".gitignore README.md index.html package.json page.ts server.ts tsconfig.json".split(" "),
    );
    const { default: manifest } = (await import(join(shop, "package.json"), {
      with: { type: "json" },
    })) as { default: { name: string } };
    expect(manifest.name).toBe("my-shop");
  });

  it.each([
    ["npm", "npm/11.6.2 node/v24.21.0 linux x64 workspaces/false"],
    ["pnpm", "pnpm/12.21.0 npm/? node/v24.21.0 linux x64"],
    ["yarn", "yarn/4.18.1 npm/? node/v24.21.0 linux x64"],
    ["bun", "bun/1.4.5 npm/? node/v24.3.0 linux x64"],
    ["npm", undefined],
  ])("prints the next commands for %s if it is started by %s", async (manager, agent) => {
    const env = { ...process.env, npm_config_user_agent: agent };
    const name = `by-${agent?.split("/")[0] ?? "hand"}`;
    const created = await run(process.execPath, [join(folder, "package/create.js"), name], {
      cwd: folder,
      env,
    });
    expect(created.stdout).toContain(`cd ${name}\n  ${manager} install\n  DATABASE_URL=`);
    expect(created.stdout).toContain(` ${manager} start `);
  });

  it("refuses a folder that is not empty", async () => {
    await mkdir(join(folder, "full/inside"), { recursive: true });
    const created = run(process.execPath, [join(folder, "package/create.js"), "full"], {
      cwd: folder,
    });
    await expect(created).rejects.toThrow(/is not empty/);
  });
});

describe("the created shop", () => {
  const database = withDatabase({ from: "empty" });

  it("takes two clicks and a reload for one order, and a new cart for another", async () => {
    const port = await freePort();
    const environment = { DATABASE_URL: database.url, PORT: String(port) };
    const server = await startServer(shop, [SOURCES, "server.ts"], port, environment);
    onTestFinished(server.stop);
    const chromium = await launchBrowser();
    onTestFinished(chromium.close);
    const page = await chromium.browser.newPage();
    await page.goto(`http://localhost:${port}`);
    const state = page.getByRole("status");
    await page.getByRole("button", { name: "Pay" }).dblclick();
    await state.getByText(/^Order 1/).waitFor();
    await page.reload();
    await page.getByRole("button", { name: "Pay" }).click();
    await state.getByText("Order 1, as before").waitFor();
    await page.getByRole("button", { name: "New cart" }).click();
    await page.getByRole("button", { name: "Pay" }).click();
    await state.getByText(/^Order 2$/).waitFor();
    const { rows } = await database.pool({ max: 1 }).query("select id from orders order by id");
    expect(rows).toEqual([{ id: 1 }, { id: 2 }]);
  });
});
