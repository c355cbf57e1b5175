// Small charts as SVG in the page's own colours: no dependency, and the numbers always stand beside them as a table.
//
// In a template (the data through Django's json_script):
//   <figure class="chart" data-chart="line" data-source="loss-data"><figcaption>Loss</figcaption></figure>
// or data-source="/some/url.json". In a module: lineChart(figure, data).
//
// line:  {x: [1, 2], xLabel, yLabel, yMin, yMax, joined: true, series: [{name, values: [0.9, null], emotion?}]}
// bar:   {labels: ["A", "B"], values: [3, 4], low: [2, 3], high: [4, 5], emotions: true, horizontal: true, yLabel, yMin, yMax, target}
//        or series: [{name, values, emotion?}] for groups of bars
// heat:  {rows: ["A"], columns: ["x", "y"], values: [[0.1, 0.9]], min, max, rowLabel, columnLabel, links: [["/a/x", "/a/y"]]}
// points: {points: [{name, x, y, low, high, strong: true}], xLabel, yLabel}: each with its name and interval
// lanes: {lanes: ["A", "B"], steps: ["start", "swap 1"], notes: {A: [["S_r 52.1", "S_a 0.80"], …]}, people: [{name, lanes: ["A", "B"]}],
//        personLabel}: who is in which lane at each step (null: not there); notes stand in the lane at each step
// Any of them takes digits (how many decimals) and percent: true (0.5 is written 50 %).

const NS = "http://www.w3.org/2000/svg";
const NARROWEST = 280;
const WIDEST = 880;

function svg(name, attributes = {}, text) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function html(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const words = (key, fallback) => document.documentElement.dataset[key] || fallback;

function writer({ digits, percent }) {
  const format = new Intl.NumberFormat(document.documentElement.lang || "en", {
    maximumFractionDigits: digits ?? (percent ? 1 : 3),
    style: percent ? "percent" : "decimal",
  });
  return (value) => (value === null || value === undefined ? "–" : format.format(value));
}

/** Round numbers that cover low..high in about `count` steps. */
export function ticks(low, high, count = 5, least = 0) {
  if (!(high > low)) high = low + 1;
  const rough = Math.max((high - low) / count, least);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const result = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) result.push(Number((i * step).toPrecision(12)));
  return result;
}

const known = (values) => values.filter((value) => Number.isFinite(value));

function range(values, { yMin, yMax }, fromZero) {
  const numbers = known(values);
  let low = yMin ?? Math.min(...numbers, fromZero ? 0 : Infinity);
  let high = yMax ?? Math.max(...numbers, fromZero ? 0 : -Infinity);
  if (!Number.isFinite(low)) [low, high] = [0, 1];
  if (low === high) [low, high] = fromZero ? [low, low + 1] : [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  const marks = ticks(low, high);
  if (yMin === undefined && marks[0] > low) low = Math.max(marks[0] - (marks[1] - marks[0]), fromZero ? 0 : -Infinity);
  if (yMax === undefined && marks.at(-1) < high) high = marks.at(-1) + (marks[1] - marks[0] || 1);
  return [low, high];
}

// Drawn at the width that the figure has, so that the text keeps the page's size.
const widthOf = (figure) => Math.min(Math.max(figure.clientWidth || WIDEST, NARROWEST), WIDEST);

function frame(figure, width, height, label) {
  figure.querySelectorAll("svg, .legend, details").forEach((old) => old.remove());
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
  figure.append(picture);
  return picture;
}

const title = (figure, fallback) => figure.querySelector("figcaption")?.textContent.trim() || fallback;
const mark = (one, index) => (one.emotion ? `emotion-${one.emotion}` : `series-${index % 6}`);

function yAxis(picture, [low, high], { left, right, top, bottom }, write, label, whole) {
  const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - top);
  for (const value of ticks(low, high, 5, whole ? 1 : 0)) {
    picture.append(svg("line", { class: "axis", x1: left, x2: right, y1: y(value), y2: y(value) }));
    picture.append(svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, write(value)));
  }
  if (label) picture.append(svg("text", { x: 0, y: 11 }, label));
  return y;
}

function legend(figure, series) {
  if (series.length < 2) return;
  figure.append(html("ul", { class: "legend" }, ...series.map((one, i) => html("li", { class: mark(one, i) }, one.name))));
}

/** Curves over a common x; a null leaves a gap, or with joined: true is passed over (a curve with fewer points than another). */
export function lineChart(figure, data) {
  const write = writer(data);
  const width = widthOf(figure);
  const box = { left: 52, right: width - 12, top: 22, bottom: 236 };
  const picture = frame(figure, width, 276, title(figure, data.yLabel || ""));
  const y = yAxis(picture, range(data.series.flatMap((one) => one.values), data, false), box, write, data.yLabel);
  const first = Math.min(...data.x);
  const last = Math.max(...data.x);
  const x = (value) => (last > first ? box.left + ((value - first) / (last - first)) * (box.right - box.left) : (box.left + box.right) / 2);
  const plain = new Intl.NumberFormat(document.documentElement.lang || "en");
  for (const value of ticks(first, last, width / 80, data.x.every(Number.isInteger) ? 1 : 0)) {
    if (value >= first && value <= last) picture.append(svg("text", { x: x(value), y: 254, "text-anchor": "middle" }, plain.format(value)));
  }
  if (data.xLabel) picture.append(svg("text", { x: box.right, y: 272, "text-anchor": "end" }, data.xLabel));
  data.series.forEach((one, index) => {
    const group = svg("g", { class: mark(one, index) });
    let pen = "M";
    let path = "";
    const count = known(one.values).length;
    one.values.forEach((value, i) => {
      if (!Number.isFinite(value)) {
        if (!data.joined) pen = "M";
        return;
      }
      path += `${pen}${x(data.x[i]).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
      if (count <= 40) group.append(dot(x(data.x[i]), y(value), `${one.name}, ${data.x[i]}: ${write(value)}`, count > 1 ? undefined : 5)); // a point alone is all that there is to see
    });
    group.prepend(svg("path", { class: "curve", d: path }));
    picture.append(group);
  });
  legend(figure, data.series);
  table(figure, [data.xLabel || "x", ...data.series.map((one) => one.name)], data.x.map((at, i) => [at, ...data.series.map((one) => one.values[i])]), write);
}

function dot(cx, cy, text, r = 2.5) {
  const node = svg("circle", { class: "mark", cx, cy, r });
  node.append(svg("title", {}, text));
  return node;
}

/** Bars, upright or lying; with low and high, each bar's interval. */
export function barChart(figure, data) {
  const series = data.series || [{ name: data.yLabel || title(figure, ""), values: data.values, low: data.low, high: data.high }];
  const write = writer(data);
  if (data.horizontal) lying(figure, data, series[0], write);
  else upright(figure, data, series, write);
  if (data.series) legend(figure, series);
  const columns = series.flatMap((one) => (one.low ? [one.name, "−", "+"] : [one.name]));
  const rows = data.labels.map((label, i) => [label, ...series.flatMap((one) => (one.low ? [one.values[i], one.low[i], one.high[i]] : [one.values[i]]))]);
  table(figure, [data.xLabel || "", ...columns], rows, write);
}

function upright(figure, data, series, write) {
  const full = widthOf(figure);
  const box = { left: 52, right: full - 4, top: 22, bottom: 216 };
  const longest = Math.max(0, ...data.labels.map((label) => shown(data, label).length)) * 7;
  const tilted = longest > (box.right - box.left) / data.labels.length; // names that would run into each other
  const picture = frame(figure, full, tilted ? 226 + Math.min(longest, 100) * 0.7 + 12 : 244, title(figure, data.yLabel || ""));
  const all = series.flatMap((one) => [...one.values, ...(one.low || []), ...(one.high || [])]);
  const y = yAxis(picture, range([...all, data.target ?? NaN], data, true), box, write, data.yLabel, known(all).every(Number.isInteger));
  const slot = (box.right - box.left) / data.labels.length;
  const width = Math.min((slot * 0.7) / series.length, 64);
  const base = Math.min(y(0), box.bottom);
  data.labels.forEach((label, i) => {
    const middle = box.left + slot * (i + 0.5);
    series.forEach((one, k) => {
      const value = one.values[i];
      if (!Number.isFinite(value)) return;
      const at = middle + (k - series.length / 2) * width;
      const group = svg("g", { class: data.emotions ? `emotion-${label}` : mark(one, k) });
      const bar = svg("rect", { class: "mark", x: at + 1, width: Math.max(width - 2, 1), y: Math.min(y(value), base), height: Math.abs(base - y(value)), rx: 2 });
      bar.append(svg("title", {}, `${label}: ${write(value)}`));
      group.append(bar);
      if (one.low && Number.isFinite(one.low[i])) group.append(svg("path", { class: "interval", d: `M${at + width / 2} ${y(one.low[i])}V${y(one.high[i])}` }));
      else if (series.length === 1) group.append(svg("text", { class: "value", x: middle, y: Math.min(y(value), base) - 4, "text-anchor": "middle" }, write(value)));
      picture.append(group);
    });
    const place = tilted
      ? { "text-anchor": "end", transform: `translate(${middle + 4} ${box.bottom + 14}) rotate(-40)` }
      : { "text-anchor": "middle", x: middle, y: box.bottom + 18 };
    picture.append(svg("text", place, shown(data, label)));
  });
  if (Number.isFinite(data.target)) picture.append(svg("line", { class: "interval", "stroke-dasharray": "4 4", x1: box.left, x2: box.right, y1: y(data.target), y2: y(data.target) }));
}

function lying(figure, data, one, write) {
  const row = 26;
  const width = widthOf(figure);
  const left = Math.min(width / 3, 16 + 8 * Math.max(...data.labels.map((label) => shown(data, label).length)));
  const picture = frame(figure, width, data.labels.length * row + 8, title(figure, data.yLabel || ""));
  const [, high] = range([...one.values, ...(one.high || [])], data, true);
  const x = (value) => left + (value / high) * (width - left - 64);
  data.labels.forEach((label, i) => {
    const value = one.values[i];
    const group = svg("g", { class: data.emotions ? `emotion-${label}` : "series-0" });
    group.append(svg("text", { class: "value", x: left - 8, y: i * row + 18, "text-anchor": "end" }, shown(data, label)));
    if (Number.isFinite(value)) group.append(svg("rect", { class: "mark", x: left, y: i * row + 5, width: Math.max(x(value) - left, 1), height: row - 8, rx: 2 }));
    if (one.low && Number.isFinite(one.low[i])) group.append(svg("path", { class: "interval", d: `M${x(one.low[i])} ${i * row + 14}H${x(one.high[i])}` }));
    group.append(svg("text", { x: x(Math.max(value || 0, one.high?.[i] || 0)) + 6, y: i * row + 18 }, write(value)));
    picture.append(group);
  });
}

// With {names: {Fear: "恐惧"}} labels stay keys and are shown in the reader's language.
const shown = (data, label) => String(data.names?.[label] ?? label);

const LETTER = 6.4; // about how wide one letter of a chart is
const LINE = 14;

/** Points with their names beside them, none over another. */
export function pointsChart(figure, data) {
  const write = writer(data);
  const width = widthOf(figure);
  const box = { left: 52, right: width - 12, top: 22, bottom: 296 };
  const picture = frame(figure, width, 336, title(figure, data.yLabel || ""));
  const y = yAxis(picture, range(data.points.flatMap((one) => [one.y, one.low, one.high]), data, false), box, write, data.yLabel);
  const [low, high] = range(data.points.map((one) => one.x), {}, false);
  const x = (value) => box.left + 12 + ((value - low) / (high - low)) * (box.right - box.left - 24);
  for (const value of ticks(low, high, width / 80)) picture.append(svg("text", { x: x(value), y: 314, "text-anchor": "middle" }, write(value)));
  if (data.xLabel) picture.append(svg("text", { x: box.right, y: 332, "text-anchor": "end" }, data.xLabel));
  const placed = [];
  for (const one of [...data.points].sort((a, b) => b.y - a.y)) {
    const group = svg("g", { class: one.strong ? "series-1" : "series-0" });
    if (Number.isFinite(one.low)) group.append(svg("path", { class: "interval", d: `M${x(one.x)} ${y(one.low)}V${y(one.high)}` }));
    const point = svg("circle", { class: "mark", cx: x(one.x), cy: y(one.y), r: one.strong ? 6 : 4.5 });
    point.append(svg("title", {}, `${one.name}: ${write(one.y)}, ${write(one.x)} ${data.xLabel}`));
    const [text, at] = nameBeside(one, x(one.x), y(one.y), box, placed);
    placed.push(at);
    group.append(point, svg("text", { class: one.strong ? "value" : undefined, x: at.from, y: at.y }, text));
    picture.append(group);
  }
  table(figure, ["", data.yLabel || "y", "−", "+", data.xLabel || "x"], data.points.map((one) => [one.name, one.y, one.low, one.high, one.x]), write);
}

/** A name's place: right of its point, left of it where the picture ends, lower where another name stands. */
function nameBeside(one, x, y, box, placed) {
  const long = LETTER * [...one.name].reduce((sum, letter) => sum + (letter.codePointAt(0) > 0x2e7f ? 2 : 1), 0);
  const from = x + 10 + long > box.right ? Math.max(x - 10 - long, 0) : x + 10;
  const at = { from, to: from + long, y: y + 4 };
  const taken = () => placed.some((other) => at.from < other.to && other.from < at.to && Math.abs(at.y - other.y) < LINE);
  while (taken()) at.y += 2;
  return [one.name, at];
}

/** A matrix of numbers, stronger colour for more. */
export function heatMap(figure, data) {
  const numbers = known(data.values.flat());
  const low = data.min ?? Math.min(0, ...numbers);
  const high = data.max ?? Math.max(...numbers, low + 1e-9);
  const width = widthOf(figure);
  const left = Math.min(width / 3, 20 + 8 * Math.max(...data.rows.map((name) => shown(data, name).length)));
  const cell = (width - left) / data.columns.length;
  const write = writer(data);
  const brief = data.percent && cell < 7 * LETTER ? writer({ ...data, digits: 0 }) : write;
  const longest = LETTER * Math.max(...data.columns.map((name) => shown(data, name).length));
  const slanted = longest > cell; // names that would run into one another
  const top = slanted ? 16 + longest / Math.SQRT2 : 30;
  const picture = frame(figure, width, data.rows.length * 34 + top, title(figure, ""));
  if (data.links) picture.setAttribute("role", "group"); // a picture hides the links in it from those who hear the page
  data.columns.forEach((name, j) => {
    const [x, y] = [left + cell * (j + 0.5), top - 12];
    picture.append(svg("text", slanted ? { x, y, transform: `rotate(45 ${x} ${y})`, "text-anchor": "end" } : { x, y, "text-anchor": "middle" }, shown(data, name)));
  });
  data.rows.forEach((name, i) => {
    picture.append(svg("text", { class: "value", x: left - 8, y: top + i * 34 + 21, "text-anchor": "end" }, shown(data, name)));
    data.values[i].forEach((value, j) => {
      const cellOf = data.links?.[i]?.[j] ? svg("a", { href: data.links[i][j], "aria-label": `${shown(data, name)}, ${shown(data, data.columns[j])}: ${write(value)}` }) : svg("g");
      picture.append(cellOf);
      const at = { x: left + cell * j + 1, y: top + i * 34 + 1, width: cell - 2, height: 32, rx: 3 };
      const share = Number.isFinite(value) ? Math.max(0, Math.min(1, (value - low) / (high - low))) : 0;
      // At most half the accent: the number keeps a contrast of 4.5 on every cell, in both themes.
      cellOf.append(svg("rect", { ...at, class: "heat", "fill-opacity": (0.06 + 0.44 * share).toFixed(2) }));
      cellOf.append(svg("text", { class: "value", x: at.x + cell / 2, y: at.y + 20, "text-anchor": "middle" }, brief(value)));
    });
  });
  table(figure, [data.rowLabel || "", ...data.columns.map((name) => shown(data, name))], data.rows.map((name, i) => [shown(data, name), ...data.values[i]]), write);
}

const ROW = 24;
const HEADER = 40;

/** People as lines through lanes, step by step; who changes lanes stands out. */
export function lanesChart(figure, data) {
  const last = data.steps.length - 1;
  const margin = Math.min(132, Math.max(widthOf(figure) / 4, 84));
  const width = Math.max(widthOf(figure), 2 * margin + last * 108);
  figure.classList.toggle("wide", width > widthOf(figure));
  const present = (lane, i) => data.people.filter((one) => one.lanes[i] === lane);
  const tops = {};
  let height = 20;
  for (const lane of data.lanes) {
    tops[lane] = height;
    height += HEADER + ROW * Math.max(1, ...data.steps.map((_, i) => present(lane, i).length)) + 10;
  }
  const picture = frame(figure, width, height, title(figure, ""));
  const x = (i) => (last ? margin + (i / last) * (width - 2 * margin) : width / 2);
  const anchor = (i) => (i === 0 ? "start" : i === last ? "end" : "middle");
  data.steps.forEach((name, i) => picture.append(svg("text", { x: x(i), y: 12, "text-anchor": anchor(i) }, name)));
  for (const lane of data.lanes) {
    picture.append(svg("line", { class: "axis", x1: 0, x2: width, y1: tops[lane], y2: tops[lane] }));
    picture.append(svg("text", { class: "value lane", x: 0, y: tops[lane] + 18 }, lane));
    data.steps.forEach((_, i) =>
      (data.notes?.[lane]?.[i] || []).forEach((note, k) => picture.append(svg("text", { class: k ? undefined : "value", x: x(i), y: tops[lane] + 15 + 14 * k, "text-anchor": anchor(i) }, note)))
    );
  }
  const y = (one, i) => tops[one.lanes[i]] + HEADER + ROW * (present(one.lanes[i], i).indexOf(one) + 0.5);
  let moved = 0;
  for (const one of data.people) {
    const moves = new Set(one.lanes).size > 1;
    const group = svg("g", { class: moves ? mark({}, moved++) : "still" });
    const points = one.lanes.flatMap((lane, i) => (lane === null ? [] : [{ x: x(i), y: y(one, i) }]));
    const path = points.map((to, i) => {
      const from = points[i - 1];
      return from ? `C${(from.x + to.x) / 2} ${from.y} ${(from.x + to.x) / 2} ${to.y} ${to.x} ${to.y}` : `M${to.x} ${to.y}`;
    });
    group.append(svg("path", { class: "curve", d: path.join("") }, undefined));
    for (const at of points) group.append(dot(at.x, at.y, `${one.name}: ${one.lanes.map((lane) => lane ?? "–").join(" → ")}`));
    const name = one.name.length > margin / 8 ? `${one.name.slice(0, margin / 8)}…` : one.name;
    group.append(svg("text", { x: points[0].x - 8, y: points[0].y + 4, "text-anchor": "end" }, name));
    if (last && one.lanes[last] !== null) group.append(svg("text", { x: points.at(-1).x + 8, y: points.at(-1).y + 4 }, name));
    picture.append(group);
  }
  const notes = data.lanes.map((lane) => [lane, ...data.steps.map((_, i) => (data.notes?.[lane]?.[i] || []).join(" · "))]);
  table(figure, [data.personLabel || "", ...data.steps], [...data.people.map((one) => [one.name, ...one.lanes.map((lane) => lane ?? "–")]), ...notes], String);
}

function table(figure, columns, rows, write) {
  const head = html("tr", {}, ...columns.map((name, i) => html("th", { scope: "col", ...(i ? { class: "num" } : {}) }, String(name))));
  const body = rows.map(([first, ...rest]) =>
    html("tr", {}, html("th", { scope: "row" }, String(first)), ...rest.map((value) => html("td", { class: "num" }, typeof value === "number" || value === null ? write(value) : String(value ?? "–"))))
  );
  const box = html("div", { class: "table-wrap", tabindex: "0", role: "region", "aria-label": title(figure, "table") }, html("table", { class: "data" }, html("thead", {}, head), html("tbody", {}, ...body)));
  const name = title(figure, "chart").replace(/\W+/g, "-").toLowerCase() || "chart";
  const numbers = html("a", { href: csv([columns, ...rows]), download: `${name}.csv` }, "CSV");
  const picture = html("a", { href: "#", download: `${name}.svg` }, "SVG");
  picture.addEventListener("click", () => picture.setAttribute("href", pictureUrl(figure.querySelector("svg"))));
  figure.append(html("details", {}, html("summary", {}, words("wordNumbers", "Numbers")), box, html("p", {}, numbers, " · ", picture)));
}

const PAINT = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "font-family", "font-size", "font-weight", "opacity"];

/** The picture as a file of its own: the page's colours and fonts are written into it. */
function pictureUrl(picture) {
  const copy = picture.cloneNode(true);
  const nodes = [...copy.querySelectorAll("*")];
  [...picture.querySelectorAll("*")].forEach((node, i) => {
    const look = getComputedStyle(node);
    for (const name of PAINT) nodes[i].setAttribute(name, look.getPropertyValue(name));
    nodes[i].removeAttribute("class");
  });
  copy.setAttribute("xmlns", NS);
  return URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" }));
}

function csv(rows) {
  const quoted = (value) => (/[",\n]/.test(String(value ?? "")) ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? ""));
  return URL.createObjectURL(new Blob([rows.map((row) => row.map(quoted).join(",")).join("\n")], { type: "text/csv" }));
}

const KINDS = { line: lineChart, bar: barChart, points: pointsChart, heat: heatMap, lanes: lanesChart };

async function dataOf(source) {
  const script = document.getElementById(source);
  if (script) return JSON.parse(script.textContent);
  const response = await fetch(source, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`${source}: ${response.status}`);
  return response.json();
}

function keepDrawn(figure, draw) {
  let drawn = 0;
  new ResizeObserver(() => {
    const width = widthOf(figure);
    if (width === drawn) return;
    drawn = width;
    const open = figure.querySelector("details")?.open;
    draw();
    if (open) figure.querySelector("details").open = true;
  }).observe(figure);
}

/** Draws every <figure data-chart data-source> of the page. */
export async function drawAll(root = document) {
  for (const figure of root.querySelectorAll("[data-chart]")) {
    const data = await dataOf(figure.dataset.source);
    keepDrawn(figure, () => KINDS[figure.dataset.chart](figure, data));
  }
}
