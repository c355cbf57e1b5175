// Sortable tables: every <th> of <table class="data"> gets a button, unless the header says data-sort="none".
// A cell sorts by its data-value when it has one, else by its text; numbers as numbers, empty cells last.

export function cellValue(cell) {
  const text = (cell?.dataset.value ?? cell?.textContent ?? "").trim();
  if (!text || text === "—" || text === "–") return null;
  const number = Number(text.replace(/[,%\s]/g, "").replace("−", "-"));
  return Number.isNaN(number) ? text : number;
}

export function compare(a, b, direction) {
  if (a === null || b === null) return (a === null) - (b === null); // empty cells stay last both ways
  if (typeof a === "number" && typeof b === "number") return direction * (a - b);
  return direction * String(a).localeCompare(String(b), document.documentElement.lang, { numeric: true });
}

function sortBy(table, column, header) {
  const ascending = header.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, value: cellValue(row.cells[column]) }));
  rows.sort((a, b) => compare(a.value, b.value, ascending ? 1 : -1));
  body.append(...rows.map(({ row }) => row));
}

// Wide tables scroll in their own box, never the page.
function wrap(table) {
  if (table.closest(".table-wrap")) return;
  const box = document.createElement("div");
  box.className = "table-wrap";
  table.replaceWith(box);
  box.append(table);
}

function reachable(box, table) {
  const name = table.caption?.textContent.trim() || table.getAttribute("aria-label");
  const update = () => {
    const scrolls = box.scrollWidth > box.clientWidth;
    box.tabIndex = scrolls ? 0 : -1;
    if (!scrolls) box.removeAttribute("tabindex");
    if (name) {
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", name);
    }
  };
  new ResizeObserver(update).observe(box);
}

export function makeSortable(table) {
  wrap(table);
  reachable(table.closest(".table-wrap"), table);
  const head = table.tHead?.rows;
  if (!head || head.length !== 1 || !table.tBodies.length || table.tBodies[0].rows.length < 2) return;
  [...head[0].cells].forEach((header, column) => {
    if (header.dataset.sort === "none" || header.colSpan > 1 || !header.textContent.trim() || header.querySelector("a, button, input")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sortBy(table, column, header));
    header.append(button);
  });
}
