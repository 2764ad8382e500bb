/** A small picture of some values over time, as SVG that a page shows without help. */

const WIDTH = 640;
const HEIGHT = 200;
const LEFT = 56;
const BOTTOM = 28;
const TOP = 32;
const COLOURS = ["#2563eb", "#dc2626", "#059669", "#9333ea"];

/**
 * @param lines by name: one value for each point in time. The axis starts at zero, so that no slope
 *   looks steeper than it is.
 */
export function drawChart(
  title: string,
  times: readonly { readonly atMs: number }[],
  lines: Readonly<Record<string, readonly number[]>>,
): string {
  const highest = Math.max(1, ...Object.values(lines).flat());
  const lastMs = Math.max(1, ...times.map(({ atMs }) => atMs));
  const x = (ms: number): number => LEFT + (ms / lastMs) * (WIDTH - LEFT - 12);
  const y = (value: number): number => TOP + (1 - value / highest) * (HEIGHT - TOP - BOTTOM);
  const drawn = Object.entries(lines).map(([name, values], index) => {
    const colour = COLOURS[index % COLOURS.length];
    const points = values.map((value, at) => {
      const ms = times[at]?.atMs ?? 0;
      return `${x(ms).toFixed(1)},${y(value).toFixed(1)}`;
    });
    const label = `<text x="${LEFT + 8 + index * 130}" y="${HEIGHT - 8}" fill="${colour}">${name}</text>`;
    return `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${points.join(" ")}"/>${label}`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12">
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
<text x="${LEFT}" y="18" font-weight="600">${title}</text>
<path d="M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - 12}" fill="none" stroke="#9ca3af"/>
<text x="${LEFT - 6}" y="${TOP + 4}" text-anchor="end">${Math.round(highest)}</text>
<text x="${LEFT - 6}" y="${HEIGHT - BOTTOM}" text-anchor="end">0</text>
<text x="${WIDTH - 12}" y="${HEIGHT - 8}" text-anchor="end">${Math.round(lastMs / 1_000)} s</text>
${drawn.join("\n")}
</svg>
`;
}
