/** Bars in groups, as an SVG that is readable on light and on dark pages. */
import type { Spread } from "./statistics.ts";

export interface BarGroup {
  readonly label: string;
  readonly bars: readonly { readonly name: string; readonly value: Spread }[];
}

const WIDTH = 720;
const HEIGHT = 260;
const LEFT = 44;
const RIGHT = 8;
const TOP = 56;
const BOTTOM = 28;
const GAP = 24;
// Each has a contrast of at least 3 to white and to #0d1117.
const TEXT = "#7d8590";
const COLOURS = ["#2f81f7", "#c4530f", "#2da44e", "#a371f7", "#bf4b8a", "#9e7a00", "#1a8a8a"];

/** The axis starts at zero. A thin line goes from the lower to the upper quartile. */
export function drawBars(title: string, groups: readonly BarGroup[], target?: number): string {
  const names = [...new Set(groups.flatMap(({ bars }) => bars.map(({ name }) => name)))];
  const values = groups.flatMap(({ bars }) => bars.flatMap(({ value }) => [value.upper]));
  const highest = Math.max(target ?? 0, ...values.filter((value) => Number.isFinite(value))) * 1.1;
  const y = (value: number): number =>
    HEIGHT - BOTTOM - (Math.max(0, value) / (highest || 1)) * (HEIGHT - TOP - BOTTOM);
  const groupWidth = (WIDTH - LEFT - RIGHT) / Math.max(1, groups.length);
  const coloured = names.filter((name) => !isReference(name));
  const colourOf = (name: string): string =>
    isReference(name) ? TEXT : (COLOURS[coloured.indexOf(name) % COLOURS.length] ?? TEXT);
  const drawn = groups.map(({ label, bars }, index) => {
    const start = LEFT + index * groupWidth + GAP / 2;
    const width = (groupWidth - GAP) / Math.max(1, bars.length);
    const shapes = bars
      .filter(({ value }) => Number.isFinite(value.median))
      .map(({ name, value }, at) => {
        const x = start + at * width;
        const middle = (x + width / 2).toFixed(1);
        const top = y(value.median);
        return `<rect x="${(x + 1).toFixed(1)}" y="${top.toFixed(1)}" width="${(width - 2).toFixed(1)}" height="${(HEIGHT - BOTTOM - top).toFixed(1)}" fill="${colourOf(name)}"><title>${name}: ${value.median.toFixed(2)}</title></rect><path d="M${middle} ${y(value.lower).toFixed(1)}V${y(value.upper).toFixed(1)}" stroke="${TEXT}" stroke-width="1.5"/><text x="${middle}" y="${(y(value.upper) - 4).toFixed(1)}" text-anchor="middle" font-size="10">${short(value.median)}</text>`;
      });
    const centre = (start + (groupWidth - GAP) / 2).toFixed(1);
    return `${shapes.join("")}<text x="${centre}" y="${HEIGHT - 10}" text-anchor="middle">${label}</text>`;
  });
  const step = (WIDTH - LEFT) / Math.max(1, names.length);
  const legend = names.map((name, index) => {
    const x = LEFT + index * step;
    return `<rect x="${x.toFixed(1)}" y="30" width="10" height="10" fill="${colourOf(name)}"/><text x="${(x + 14).toFixed(1)}" y="39">${name}</text>`;
  });
  const goal =
    target === undefined
      ? ""
      : `<path d="M${LEFT} ${y(target).toFixed(1)}H${WIDTH - RIGHT}" stroke="${TEXT}" stroke-dasharray="4 3"/><text x="${LEFT - 6}" y="${(y(target) + 4).toFixed(1)}" text-anchor="end">${target}</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12" fill="${TEXT}">
<text x="${LEFT}" y="18" font-weight="600">${title}</text>
${legend.join("")}
${drawn.join("\n")}
${goal}
<path d="M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}" fill="none" stroke="${TEXT}"/>
<text x="${LEFT - 6}" y="${HEIGHT - BOTTOM}" text-anchor="end">0</text>
</svg>
`;
}

function isReference(name: string): boolean {
  return /^F\d$/.test(name);
}

function short(value: number): string {
  return value < 10 ? value.toFixed(2) : String(Math.round(value));
}
