/** The runbook has a page for each problem code and a section for each metric. */
import { readdir, readFile } from "node:fs/promises";
import { PROBLEMS } from "@oncekey/shared";
import { describe, expect, it } from "vitest";
import { anchorsOf } from "../../scripts/slug.ts";

const RUNBOOK = new URL("../../docs/runbook/", import.meta.url);
const TELEMETRY = new URL("../../server/src/telemetry/opentelemetry.ts", import.meta.url);

describe("the runbook", () => {
  it("has a page for each problem code, which begins with its status", async () => {
    const files = await readdir(RUNBOOK);
    const codes = Object.entries(PROBLEMS);
    expect(files.toSorted()).toEqual(
      ["README.md", "metrics.md", ...codes.map(([code]) => `${code}.md`)].toSorted(),
    );
    for (const [code, { status }] of codes) {
      const page = await readFile(new URL(`${code}.md`, RUNBOOK), "utf8");
      expect(page).toMatch(new RegExp(`^# ${code}\n\n\\*\\*${status}[.,]`));
    }
  });

  it("has a section for each metric, and for no other", async () => {
    const source = await readFile(TELEMETRY, "utf8");
    const created =
      /(?:createCounter|createHistogram|createUpDownCounter|createObservableGauge|gauge|seconds)\(\s*(?:meter, )?"(oncekey\.[\w.]+)"/g;
    const metrics = [...source.matchAll(created)].map(([, name = ""]) => name);
    const page = await readFile(new URL("metrics.md", RUNBOOK), "utf8");
    const sections = [...page.matchAll(/^## (oncekey\.\S+)$/gm)].map(([, name = ""]) => name);
    expect(metrics.length).toBeGreaterThan(5);
    expect(sections.toSorted()).toEqual(metrics.toSorted());
    expect(anchorsOf(page)).toContain("oncekeyrowsswept");
  });
});
