/** Frame of every page. */
import { html, toText } from "./html.ts";
import type { Html } from "./html.ts";

export interface Frame {
  /** Path that the page is mounted at, without a slash at its end. */
  readonly base: string;
  readonly by: string | undefined;
}

/** @param isLive whether the script replaces the parts of the page that change. */
export function page(frame: Frame, title: string, content: Html, isLive?: "live"): string {
  const { base, by } = frame;
  const document = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · Oncekey</title>
        <link rel="icon" href="${base}/icon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="${base}/style.css" />
        ${isLive && html`<script src="${base}/live.js" type="module"></script>`}
      </head>
      <body>
        <a class="skip" href="#content">Skip to the content</a>
        <header>
          <a class="brand" href="${base}/">
            <svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
              <circle cx="12" cy="12" r="10" fill="#22508f" />
              <path
                d="M9.5 8.8 12.8 7v10"
                fill="none"
                stroke="#fff"
                stroke-width="2.2"
                stroke-linecap="round"
                stroke-linejoin="round"
              />
            </svg>
            Oncekey <span>operations</span>
          </a>
          ${isLive && html`<span class="live" role="status" data-live>As of the last load</span>`}
        </header>
        <main id="content">${content}</main>
        ${by !== undefined && html`<footer>Decisions are logged under the name <strong>${by}</strong>.</footer>`}
      </body>
    </html>`;
  return toText(document).replace(/\n\s+/g, "\n");
}

/** The form that finds a key. */
export function findForm({ base }: Frame, key = "", scope = ""): Html {
  return html`<section class="card" aria-labelledby="find-title">
    <h2 id="find-title">Find a key</h2>
    <form class="find" action="${base}/key" method="get">
      <label
        >Idempotency key
        <input
          class="mono"
          name="key"
          value="${key}"
          required
          maxlength="255"
          autocomplete="off"
          spellcheck="false"
        />
      </label>
      <label
        >Scope (optional)
        <input
          class="mono"
          name="scope"
          value="${scope}"
          maxlength="512"
          autocomplete="off"
          spellcheck="false"
        />
      </label>
      <button>Find</button>
    </form>
  </section>`;
}
