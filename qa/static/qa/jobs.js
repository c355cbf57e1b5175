// While a release is being made or a protocol is tried, the page's part about it is asked for again every second and a half.
import { drawAll } from "../charts.js";
import { makeSortable } from "../table.js";

const POLL_MS = 1500;

async function refresh() {
  const asked = fetch(location.href, { headers: { Accept: "text/html" } });
  const text = await asked.then((response) => (response.ok ? response.text() : "")).catch(() => "");
  const page = new DOMParser().parseFromString(text, "text/html"); // empty while the server is away: it is asked again
  const fresh = page.getElementById("jobs");
  if (!fresh) return;
  document.getElementById("jobs").replaceWith(document.adoptNode(fresh));
  fresh.querySelectorAll("table.data").forEach(makeSortable);
  await drawAll(fresh);
}

async function watch() {
  while (document.getElementById("jobs").dataset.live) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    if (!document.hidden) await refresh();
  }
}

watch();
