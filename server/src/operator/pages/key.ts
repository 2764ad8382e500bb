/** The page of one key: its records, their story, and the forms that decide. */
import { randomUUID } from "node:crypto";
import type { Activity, SeenEvent } from "../desk/activity.ts";
import { instant, outcomeBadge, stateBadge, toneOf } from "./format.ts";
import type { Tone } from "./format.ts";
import { html } from "./html.ts";
import type { Html } from "./html.ts";
import { findForm, page } from "./layout.ts";
import type { Decision } from "../../store/maintenance/decisions.ts";
import type { Frame } from "./layout.ts";
import type { TableRecord } from "../../store/maintenance/table-record.ts";
import { digestKey } from "../../telemetry/key-digest.ts";

/** Text above the page after a decision. */
export interface Notice {
  readonly text: string;
  readonly tone: Tone;
}

export interface KeyPage {
  readonly key: string;
  readonly scope: string | undefined;
  readonly records: readonly TableRecord[];
  readonly decisions: readonly Decision[];
  readonly notice?: Notice | undefined;
}

export function keyPage(frame: Frame, activity: Activity, shown: KeyPage): string {
  const { key, scope, records, notice } = shown;
  const digest = digestKey(key) ?? "";
  const content = html`${notice && html`<p class="notice" role="status" data-tone="${notice.tone}">${notice.text}</p>`}
    <h1 class="key">${key}</h1>
    <p class="note">Digest in logs and events: <code>${digest}</code></p>
    ${records.length === 0 && nothing(scope)}
    ${records.map((record, index) => recordCard(frame, record, index))} ${decided(shown.decisions)}
    ${seen(activity.story(digest))} ${findForm(frame, key, scope)}`;
  return page(frame, `Key ${key}`, content);
}

function nothing(scope: string | undefined): Html {
  const where = scope === undefined ? "in any scope" : "in this scope";
  return html`<section class="card">
    <h2>No record</h2>
    <p>
      Nothing is stored for this key ${where}. A request with it runs its handler. Under a
      one-commit strategy a handler that runs now has no row yet.
    </p>
  </section>`;
}

function recordCard(frame: Frame, record: TableRecord, index: number): Html {
  const { scope, target, state, status, bodyBytes, steps, headers } = record;
  const response =
    status !== null &&
    html`${status}${bodyBytes === null ? ", its body is not kept" : `, ${bodyBytes.toLocaleString("en-US")} bytes`}`;
  return html`<section class="card" aria-labelledby="record-${index}">
    <h2 id="record-${index}">${target} ${stateBadge(state)}</h2>
    <dl class="facts">
      <dt>Scope</dt>
      <dd class="key">${scope}</dd>
      ${
        response &&
        html`<dt>Response</dt>
          <dd>${response}</dd>`
      }
      ${headers.map(
        ([name, value]) =>
          html`<dt>${name}</dt>
            <dd class="key">${value}</dd>`,
      )}
      ${
        steps.length > 0 &&
        html`<dt>Finished steps</dt>
          <dd class="key">${steps.join(", ")}</dd>`
      }
    </dl>
    <ol class="story">
      ${storyOf(record)}
    </ol>
    ${decideForms(frame, record)}
  </section>`;
}

/** Returns the events that the row itself dates. */
function storyOf(record: TableRecord): Html[] {
  const { attempt, createdAt, leaseUntil, expiresAt, fenceUntil } = record;
  const of = (tone: Tone, at: string | null, text: string): Html =>
    html`<li data-tone="${tone}">${at === null ? "" : instant(at)} ${text}</li>`;
  const tries = attempt > 1 ? ` It was started ${attempt} times.` : "";
  switch (record.state) {
    case "finished":
      return [
        of("good", createdAt, `The response was stored.${tries}`),
        of("plain", expiresAt, "The response expires: a repeat gets 410, and nothing runs."),
        of("plain", fenceUntil, "The key is forgotten."),
      ];
    case "tombstone":
      return [
        of("plain", createdAt, "The operation was done. Its response has expired since."),
        of("plain", fenceUntil ?? expiresAt, "The key is forgotten."),
      ];
    case "running":
      return leaseUntil === null
        ? [of("warn", createdAt, "A handler runs, or broke off: then its writes were rolled back.")]
        : [
            of("plain", createdAt, `The handler was started.${tries}`),
            of("warn", leaseUntil, "The lease ends, unless its owner renews it."),
          ];
    case "crashed":
      return [
        of("plain", createdAt, `The handler was started.${tries}`),
        of("bad", leaseUntil, "It did not finish. What it did is not known."),
      ];
    case "failed":
      return [of("bad", createdAt, `The key was closed without an answer.${tries}`)];
    case "expired":
      return [of("plain", expiresAt, "The record expired. The sweep deletes it.")];
    default:
      return record.state satisfies never;
  }
}

/** Lists the events of the key on this process. */
function seen(events: readonly SeenEvent[]): Html | false {
  if (events.length === 0) return false;
  const what = { begin: "asked for", complete: "ended", "lease-lost": "lease lost" };
  const items = events.map(
    (event) =>
      html`<li data-tone="${event.what === "lease-lost" ? "bad" : toneOf(event.outcome)}">
        ${instant(new Date(event.at).toISOString())} ${event.route} ${what[event.what]}
        ${outcomeBadge(event.outcome)}
      </li>`,
  );
  return html`<section class="card" aria-labelledby="seen-title">
    <h2 id="seen-title">Seen by this process</h2>
    <ol class="story">
      ${items}
    </ol>
  </section>`;
}

const OPEN: ReadonlySet<string> = new Set(["crashed", "failed"]);

function decideForms(frame: Frame, record: TableRecord): Html {
  if (record.state === "running" && record.leaseUntil !== null) {
    return html`<p class="note">
      A handler works on this key. It can be decided when its lease has ended.
    </p>`;
  }
  return html`${OPEN.has(record.state) && resolveForm(frame, record)} ${forgetForm(frame, record)}`;
}

function resolveForm({ base }: Frame, record: TableRecord): Html {
  return html`<details>
    <summary>Resolve with a response …</summary>
    <form class="decide" method="post" action="${base}/resolve">
      <p>
        The response is stored as if the handler had given it. Every later request with this key
        gets it, and the handler does not run again.
      </p>
      ${hidden(record)}
      <label
        >Status
        <input
          name="status"
          type="number"
          min="200"
          max="599"
          value="200"
          required
          inputmode="numeric"
        />
      </label>
      <label
        >Body (JSON, may be empty)
        <textarea name="body" rows="4" spellcheck="false"></textarea>
      </label>
      ${reasonAndCheck("I have found out what the handler did")}
      <button>Store the response</button>
    </form>
  </details>`;
}

function forgetForm({ base }: Frame, record: TableRecord): Html {
  const isDone = record.state === "finished" || record.state === "tombstone";
  const risk = isDone
    ? "This operation is done. After this a repeat does it a second time."
    : "What the handler did is not known. After this a repeat runs it from the start: if it had charged, it charges again.";
  return html`<details>
    <summary>Forget this key …</summary>
    <form class="decide" method="post" action="${base}/forget">
      <p>${risk}</p>
      ${hidden(record)} ${reasonAndCheck("I have found out that the operation must run again")}
      <button class="danger">Forget the key</button>
    </form>
  </details>`;
}

function reasonAndCheck(claim: string): Html {
  return html`<label
      >Reason <input name="reason" required maxlength="1000" autocomplete="off"
    /></label>
    <label class="check">
      <input type="checkbox" name="checked" value="yes" required />
      ${claim}
    </label>`;
}

/** Decisions about the key, the newest first. */
function decided(decisions: readonly Decision[]): Html | false {
  if (decisions.length === 0) return false;
  const items = decisions.map(
    ({ at, action, by, reason, status }) =>
      html`<li>
        ${instant(at)} ${action[0]?.toUpperCase()}${action.slice(1)} by <strong>${by}</strong>${
          action === "resolved" && status !== null ? ` with ${status}` : ""
        }:
        ${reason}
      </li>`,
  );
  return html`<section class="card" aria-labelledby="decided-title">
    <h2 id="decided-title">Decisions</h2>
    <ol class="story">
      ${items}
    </ol>
  </section>`;
}

/** The fields that name the record, and a key of the form's own: a form that is sent twice decides once. */
function hidden({ key, scope, target }: Pick<TableRecord, "key" | "scope" | "target">): Html[] {
  const fields = { form: randomUUID(), key, scope, target };
  return Object.entries(fields).map(
    ([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`,
  );
}
