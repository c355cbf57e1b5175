// The frame's own behaviour: theme switch, menus, sortable tables, charts.
import { makeSortable } from "./table.js";

function themeSwitch(box) {
  const buttons = [...box.querySelectorAll("[data-theme-choice]")];
  const show = () => {
    const current = document.documentElement.dataset.theme || "auto";
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.themeChoice === current));
  };
  box.addEventListener("click", (event) => {
    const choice = event.target.closest("[data-theme-choice]")?.dataset.themeChoice;
    if (!choice) return;
    if (choice === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
    try {
      localStorage.setItem("theme", choice);
    } catch {
      // Storage is switched off: the choice holds for this page.
    }
    show();
  });
  show();
}

function menuButton(button) {
  const menu = document.getElementById(button.getAttribute("aria-controls"));
  button.addEventListener("click", () => {
    button.setAttribute("aria-expanded", String(menu.classList.toggle("open")));
  });
}

// A <details> menu closes on Escape and on a click elsewhere.
function closeable(menu) {
  const close = (focus) => {
    menu.open = false;
    if (focus) menu.querySelector("summary").focus();
  };
  document.addEventListener("click", (event) => {
    if (menu.open && !menu.contains(event.target)) close(false);
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) close(true);
  });
}

document.querySelectorAll("[data-theme-switch]").forEach(themeSwitch);
document.querySelectorAll(".menu-button").forEach(menuButton);
document.querySelectorAll("details.user-menu").forEach(closeable);
document.querySelectorAll("table.data").forEach(makeSortable);
if (document.querySelector("[data-chart]")) {
  import("./charts.js").then(({ drawAll }) => drawAll());
}

// What would destroy or is hard to take back asks first: <form data-confirm="Delete release e_All?">
document.addEventListener("submit", (event) => {
  const question = event.target.dataset?.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});
