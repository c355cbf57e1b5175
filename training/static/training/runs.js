// The list of runs stays true while one is live: states and epochs are asked for again every few seconds.
const POLL_MS = 4000;
const table = document.querySelector("[data-live-runs]");

function isLive() {
  return table.querySelector('[data-state="running"], [data-state="queued"]') !== null;
}

async function refresh() {
  if (document.hidden) return;
  const response = await fetch(`${table.dataset.liveRuns}?limit=50`, { headers: { Accept: "application/json" } });
  if (!response.ok) return;
  const { results } = await response.json();
  for (const run of results) {
    const row = table.querySelector(`[data-run="${run.id}"]`);
    if (!row) continue;
    // A new state changes more cells than these: load the page again.
    if (row.querySelector("[data-state]").dataset.state !== run.state) return window.location.reload();
    row.querySelector('[data-cell="epoch"]').textContent = run.progress.epoch ?? "–";
  }
}

if (table && isLive()) setInterval(() => refresh().catch(() => undefined), POLL_MS); // offline: the next poll tries again
