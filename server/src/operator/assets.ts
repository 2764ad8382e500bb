/** The page's style and script, served as files of their own: its policy allows nothing inline. */

export const STYLE = `
:root {
  color-scheme: light dark;
  --page: light-dark(#f6f5f2, #14161a);
  --card: light-dark(#ffffff, #1c1f25);
  --text: light-dark(#1d2129, #e8e9ec);
  --soft: light-dark(#5a6170, #a3aab8);
  --rule: light-dark(#e2e0da, #2e323b);
  --accent: light-dark(#22508f, #8db8ff);
  --accent-text: light-dark(#ffffff, #10151d);
  --good: light-dark(#1e6b3c, #6fd397);
  --good-back: light-dark(#e4f3e9, #17301f);
  --warn: light-dark(#8a5300, #f0b860);
  --warn-back: light-dark(#fbf0dc, #352a14);
  --bad: light-dark(#a3241f, #ff9c94);
  --bad-back: light-dark(#fbe7e5, #3b1d1b);
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "Liberation Mono", monospace;
}
* { box-sizing: border-box; }
body {
  margin: 0;
  background: var(--page);
  color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  -webkit-text-size-adjust: 100%;
}
a { color: var(--accent); text-underline-offset: 0.15em; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 2px; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: 1rem; padding: 0.5rem 0.75rem; background: var(--card); z-index: 1; }
header, main, footer { max-width: 72rem; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; flex-wrap: wrap; gap: 0.75rem 2rem; align-items: center; justify-content: space-between; padding-top: 1.5rem; padding-bottom: 1.25rem; }
.brand { display: flex; gap: 0.625rem; align-items: center; color: inherit; font-weight: 600; font-size: 1.125rem; letter-spacing: -0.01em; text-decoration: none; }
.brand span { color: var(--soft); font-weight: 400; }
.mark { width: 1.5rem; height: 1.5rem; flex: none; }
footer { padding-top: 1.5rem; padding-bottom: 2.5rem; color: var(--soft); font-size: 0.875rem; }
h1 { margin: 0 0 1rem; font-size: 1.5rem; font-weight: 600; line-height: 1.25; letter-spacing: -0.015em; overflow-wrap: anywhere; }
h2 { margin: 0 0 0.25rem; font-size: 1.0625rem; font-weight: 600; letter-spacing: -0.005em; }
p { margin: 0 0 0.75rem; }
.note { color: var(--soft); font-size: 0.875rem; }
code, .key { font-family: var(--mono); font-size: 0.875em; overflow-wrap: anywhere; }
.card { margin-bottom: 1.25rem; padding: 1.25rem 1.5rem; background: var(--card); border: 1px solid var(--rule); border-radius: 0.75rem; }
.card > :last-child { margin-bottom: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: 0.75rem; margin: 0 0 1.25rem; }
.tile { padding: 0.875rem 1.125rem; background: var(--card); border: 1px solid var(--rule); border-radius: 0.75rem; }
.tile dt { color: var(--soft); font-size: 0.875rem; }
.tile dd { margin: 0; font-size: 1.75rem; font-weight: 500; line-height: 1.3; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; }
.tile[data-tone="bad"] { background: var(--bad-back); border-color: transparent; }
.tile[data-tone="bad"] :is(dt, dd) { color: var(--bad); }
.tile[data-tone="warn"] { background: var(--warn-back); border-color: transparent; }
.tile[data-tone="warn"] :is(dt, dd) { color: var(--warn); }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 0 1.25rem; align-items: start; }
.scroll { overflow-x: auto; margin: 0.75rem -1.5rem -0.5rem; padding: 0 1.5rem; }
table { width: 100%; border-collapse: collapse; font-size: 0.9375rem; }
th { padding: 0.375rem 1rem 0.375rem 0; color: var(--soft); font-size: 0.8125rem; font-weight: 500; text-align: left; white-space: nowrap; }
td { padding: 0.5rem 1rem 0.5rem 0; border-top: 1px solid var(--rule); vertical-align: baseline; }
td.key { min-width: 9rem; }
th:last-child, td:last-child { padding-right: 0; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
th.number { text-align: right; }
.empty { margin: 0.5rem 0 0; color: var(--soft); }
.badge { display: inline-block; padding: 0.0625rem 0.5rem; border-radius: 1rem; background: var(--rule); font-family: inherit; font-size: 0.8125rem; font-weight: 500; white-space: nowrap; }
.badge[data-tone="good"] { background: var(--good-back); color: var(--good); }
.badge[data-tone="warn"] { background: var(--warn-back); color: var(--warn); }
.badge[data-tone="bad"] { background: var(--bad-back); color: var(--bad); }
meter { width: 100%; min-width: 5rem; height: 0.625rem; }
.facts { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: 0.375rem 1.5rem; margin: 0.75rem 0 0; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.story { margin: 0.75rem 0 0; padding: 0; list-style: none; }
.story li { position: relative; padding: 0 0 0.875rem 1.5rem; border-left: 2px solid var(--rule); margin-left: 0.3125rem; }
.story li::before { content: ""; position: absolute; left: -0.4375rem; top: 0.4375rem; width: 0.75rem; height: 0.75rem; border-radius: 50%; background: var(--soft); border: 2px solid var(--card); }
.story li[data-tone="good"]::before { background: var(--good); }
.story li[data-tone="warn"]::before { background: var(--warn); }
.story li[data-tone="bad"]::before { background: var(--bad); }
.story li:last-child { border-left-color: transparent; padding-bottom: 0; }
.story time { display: block; color: var(--soft); font-size: 0.8125rem; font-variant-numeric: tabular-nums; }
.notice { margin-bottom: 1.25rem; padding: 0.875rem 1.25rem; border-radius: 0.75rem; background: var(--good-back); color: var(--good); font-weight: 500; }
.notice[data-tone="bad"] { background: var(--bad-back); color: var(--bad); }
form.find { margin-top: 0.75rem; display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: end; }
form.find label { flex: 1 1 12rem; }
h1.key { font-size: 1.25rem; margin-bottom: 0.25rem; }
h2 .badge { margin-left: 0.375rem; vertical-align: 0.0625rem; }
details { margin-top: 1.25rem; padding-top: 1rem; border-top: 1px solid var(--rule); }
details + details { margin-top: 1rem; }
summary { width: fit-content; color: var(--accent); font-weight: 500; cursor: pointer; }
form.decide { display: grid; gap: 0.875rem; margin-top: 1rem; max-width: 36rem; }
label { display: grid; gap: 0.25rem; color: var(--soft); font-size: 0.875rem; }
label.check { display: flex; gap: 0.625rem; align-items: start; color: var(--text); }
label.check input { flex: none; width: 1.125rem; height: 1.125rem; margin: 0.125rem 0 0; accent-color: var(--accent); }
input:not([type="checkbox"]), textarea { width: 100%; padding: 0.5rem 0.75rem; border: 1px solid light-dark(#8b909b, #6b7280); border-radius: 0.5rem; background: var(--page); color: var(--text); font: inherit; }
textarea, input.mono { font-family: var(--mono); font-size: 0.875rem; }
button { padding: 0.5rem 1.125rem; border: 0; border-radius: 0.5rem; background: var(--accent); color: var(--accent-text); font: inherit; font-weight: 500; cursor: pointer; }
button:hover { filter: brightness(1.1); }
button.danger { background: var(--bad); color: light-dark(#ffffff, #260d0b); }
form.decide button { justify-self: start; }
.live { display: inline-flex; gap: 0.375rem; align-items: center; color: var(--soft); font-size: 0.875rem; }
.live::before { content: ""; width: 0.5rem; height: 0.5rem; border-radius: 50%; background: var(--soft); }
.live[data-on="true"]::before { background: var(--good); }
@media (max-width: 40rem) {
  header { padding-top: 1rem; }
  header, main, footer { padding-left: 1rem; padding-right: 1rem; }
  .card { padding: 1rem; border-radius: 0.625rem; }
  .tiles { grid-template-columns: repeat(2, 1fr); }
  .tile { padding: 0.75rem 1rem; }
  .tile dd { font-size: 1.375rem; }
  .scroll { margin: 0.75rem -1rem -0.25rem; padding: 0 1rem; }
  .facts { grid-template-columns: 1fr; gap: 0; }
  .facts dd { padding-bottom: 0.5rem; }
}
`;

/** Replaces the parts of the overview that change, every other second while the page is visible. */
export const SCRIPT = `
const status = document.querySelector("[data-live]");
async function refresh() {
  if (document.visibilityState === "visible") {
    try {
      const response = await fetch(location.href, { cache: "no-store" });
      if (!response.ok) throw new Error(String(response.status));
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      for (const part of document.querySelectorAll("[data-part]")) {
        const next = fresh.getElementById(part.id);
        const isUsed = part.contains(document.activeElement);
        if (next && !isUsed && next.innerHTML !== part.innerHTML) part.replaceWith(document.adoptNode(next));
      }
      status.dataset.on = "true";
      status.textContent = "Live";
    } catch {
      status.dataset.on = "false";
      status.textContent = "Not updated: the server did not answer";
    }
  }
  setTimeout(refresh, 2000);
}
if (status) refresh();
`;

export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><circle cx="12" cy="12" r="10" fill="#22508f"/><path d="M9.5 8.8 12.8 7v10" fill="none" stroke="#fff" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"/></svg>`;
