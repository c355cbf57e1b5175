// One run's page: its curves and log, asked for again every two seconds while the run is live.
import { lineChart } from "../charts.js";

const POLL_MS = 2000;
const box = document.querySelector("[data-curves]");
const log = document.querySelector("[data-log]");
const state = document.querySelector("[data-state]").dataset.state;

/** Every split's values over their common axis: steps where the engine counts them, else epochs. */
export function chartOf(curves, metric) {
  const rows = Object.values(curves).flat();
  const axis = rows.every((row) => Number.isFinite(row.step)) ? "step" : "epoch";
  const known = rows.filter((row) => Number.isFinite(row[metric]) && Number.isFinite(row[axis]));
  const x = [...new Set(known.map((row) => row[axis]))].sort((a, b) => a - b);
  const series = Object.entries(curves).flatMap(([name, points]) => {
    const values = new Map(points.filter((row) => Number.isFinite(row[metric])).map((row) => [row[axis], row[metric]]));
    return values.size ? [{ name: box.dataset[name] || name, values: x.map((at) => values.get(at) ?? null) }] : [];
  });
  return { x, xLabel: box.dataset[axis], series, joined: true }; // an epoch's numbers stand many steps apart
}

function draw({ curves }) {
  const charts = [...box.querySelectorAll("[data-metric]")].map((figure) => [figure, chartOf(curves, figure.dataset.metric)]);
  // All are shown or hidden first: a chart measures its place when it is drawn.
  for (const [figure, data] of charts) figure.hidden = !data.x.length;
  for (const [figure, data] of charts.filter(([, data]) => data.x.length)) {
    const open = figure.querySelector("details")?.open;
    lineChart(figure, data);
    if (open) figure.querySelector("details").open = true;
  }
  box.querySelector("[data-empty]").hidden = Object.keys(curves).length > 0;
}

function tell(far) {
  const bar = document.querySelector("[data-far]");
  if (!bar || !far) return;
  bar.hidden = false;
  Object.assign(bar.querySelector("progress"), { max: far.steps, value: far.step });
  bar.querySelector("span").textContent = far.text;
}

async function ask(url) {
  const response = await fetch(url, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json();
}

async function refresh() {
  const run = await ask(box.dataset.curves);
  draw(run);
  tell(run.far);
  if (run.state !== state) return window.location.reload();
  if (log && run.is_live) {
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    log.textContent = (await ask(log.dataset.log)).log || "…";
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
  return run.is_live;
}

async function poll() {
  let again = true;
  try {
    if (!document.hidden) again = await refresh();
  } catch {
    // Offline for a moment: the next poll tries again.
  }
  if (again) setTimeout(poll, POLL_MS);
}

poll();
