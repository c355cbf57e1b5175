// Parts of a page about work that goes on (<… id="…" data-live="1">) are asked for again every two seconds until it is over.
import { drawAll } from "./charts.js";
import { makeSortable } from "./table.js";

const POLL_MS = 2000;
const live = () => [...document.querySelectorAll("[id][data-live]")].filter((part) => part.dataset.live);

function replace(part, fresh) {
  const opened = fresh.querySelectorAll("details");
  part.querySelectorAll("details").forEach((details, place) => opened[place]?.toggleAttribute("open", details.open));
  part.replaceWith(document.adoptNode(fresh));
  fresh.querySelectorAll("table.data").forEach(makeSortable);
  return drawAll(fresh);
}

async function refresh() {
  const asked = fetch(location.href, { headers: { Accept: "text/html" } });
  const text = await asked.then((response) => (response.ok ? response.text() : "")).catch(() => "");
  const page = new DOMParser().parseFromString(text, "text/html"); // empty while the server is away: it is asked again
  for (const part of live()) {
    const fresh = page.getElementById(part.id);
    if (fresh && !part.contains(document.activeElement)) await replace(part, fresh); // nothing is taken away from under a hand
  }
}

async function watch() {
  while (live().length) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    if (!document.hidden) await refresh();
  }
}

watch();
