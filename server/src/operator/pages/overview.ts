/** The first page: figures of the table, outcomes of the last minute, unfinished records and busy keys. */
import type { Activity } from "../desk/activity.ts";
import type { Desk } from "../desk/desk.ts";
import { count, duration, outcomeBadge, stateBadge } from "./format.ts";
import type { Tone } from "./format.ts";
import { html } from "./html.ts";
import type { Html } from "./html.ts";
import { findForm, page } from "./layout.ts";
import type { Frame } from "./layout.ts";
import type { TableHealth } from "../../store/maintenance/health.ts";
import type { TableRecord } from "../../store/maintenance/table-record.ts";

const MAX_ROWS = 50;
const MAX_KEYS = 10;
// A sweep runs each minute by default; an hour is a sweep that is off or fails.
const LATE_SWEEP_MS = 3_600_000;
const OLD_MS = 15 * 60_000;

export async function overview(frame: Frame, desk: Desk, activity: Activity): Promise<string> {
  const [health, unfinished] = await Promise.all([desk.health(), desk.open(MAX_ROWS)]);
  const content = html`<h1>Overview</h1>
    <div id="figures" data-part>${figures(health)}</div>
    ${findForm(frame)}
    <section class="card" id="unfinished" aria-labelledby="unfinished-title" data-part>
      <h2 id="unfinished-title">Crashed and running</h2>
      ${unfinishedTable(frame, unfinished, health)}
    </section>
    <div class="columns">
      <section class="card" id="outcomes" aria-labelledby="outcomes-title" data-part>
        <h2 id="outcomes-title">Requests of the last minute</h2>
        <p class="note">On this process, by what was decided before the handler.</p>
        ${outcomes(activity)}
      </section>
      <section class="card" id="busy" aria-labelledby="busy-title" data-part>
        <h2 id="busy-title">Hot keys</h2>
        <p class="note">
          Asked for more than once on this process in the last minutes, by the digest of the logs.
        </p>
        ${busyKeys(activity)}
      </section>
    </div>`;
  return page(frame, "Overview", content, "live");
}

function figures(health: TableHealth): Html {
  const { crashed, unfinished, oldestUnfinishedMs, sweepLagMs, expired, tombstones } = health;
  return html`<dl class="tiles">
    ${tile("Crashed", count(crashed), crashed > 0 ? "bad" : "plain")}
    ${tile("Unfinished", count(unfinished))}
    ${tile("Oldest unfinished", duration(oldestUnfinishedMs), oldestUnfinishedMs > OLD_MS ? "warn" : "plain")}
    ${tile("Waiting for the sweep", count(expired))}
    ${tile("Sweep lag", duration(sweepLagMs), sweepLagMs > LATE_SWEEP_MS ? "warn" : "plain")}
    ${tile("Keys without a response", count(tombstones))}
  </dl>`;
}

function tile(name: string, figure: string, tone: Tone = "plain"): Html {
  return html`<div class="tile" data-tone="${tone}">
    <dt>${name}</dt>
    <dd>${figure}</dd>
  </div>`;
}

function unfinishedTable(
  { base }: Frame,
  records: readonly TableRecord[],
  { unfinished }: TableHealth,
): Html {
  if (records.length === 0) return html`<p class="empty">Every key has its response.</p>`;
  const rows = records.map(({ key, scope, target, state, attempt, createdAt }) => {
    const query = new URLSearchParams({ key, scope }).toString();
    return html`<tr>
      <td>${stateBadge(state)}</td>
      <td class="key"><a href="${base}/key?${query}">${key}</a></td>
      <td class="key">${scope}</td>
      <td class="key">${target}</td>
      <td class="number">${attempt}</td>
      <td class="number">${duration(Date.now() - Date.parse(createdAt))}</td>
    </tr>`;
  });
  return html`${table("unfinished-title", ["State", "Key", "Scope", "Target", "#Attempt", "#Age"], rows)}
  ${unfinished > records.length && html`<p class="note">The first ${records.length} of ${count(unfinished)}.</p>`}`;
}

function outcomes(activity: Activity): Html {
  const found = activity.outcomes();
  if (found.length === 0) return html`<p class="empty">No request on a protected route.</p>`;
  const all = found.reduce((sum, [, requests]) => sum + requests, 0);
  const rows = found.map(
    ([outcome, requests]) =>
      html`<tr>
        <td>${outcomeBadge(outcome)}</td>
        <td><meter max="${all}" value="${requests}" aria-label="${outcome}"></meter></td>
        <td class="number">${count(requests)}</td>
      </tr>`,
  );
  return table("outcomes-title", ["Outcome", "Share", "#Requests"], rows);
}

function busyKeys(activity: Activity): Html {
  const keys = activity.busyKeys(MAX_KEYS);
  if (keys.length === 0) return html`<p class="empty">No key was asked for twice.</p>`;
  const rows = keys.map(
    ({ keyDigest, route, requests }) =>
      html`<tr>
        <td class="key">${keyDigest}</td>
        <td class="key">${route}</td>
        <td class="number">${count(requests)}</td>
      </tr>`,
  );
  return table("busy-title", ["Key digest", "Route", "#Requests"], rows);
}

/** A table that scrolls sideways on a phone. A heading that begins with `#` is of numbers. */
function table(titleId: string, headings: readonly string[], rows: readonly Html[]): Html {
  const cells = headings.map((heading) =>
    heading.startsWith("#")
      ? html`<th scope="col" class="number">${heading.slice(1)}</th>`
      : html`<th scope="col">${heading}</th>`,
  );
  return html`<div class="scroll" tabindex="0" role="group" aria-labelledby="${titleId}">
    <table>
      <thead>
        <tr>
          ${cells}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`;
}
