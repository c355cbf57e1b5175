// The key fields take the key that is pressed in them, instead of its letter being typed.

const IGNORED = new Set(["Tab", "Shift", "Control", "Alt", "Meta", "Escape", "CapsLock"]);

for (const form of document.querySelectorAll("[data-key-form]")) {
  const defaults = JSON.parse(document.getElementById(form.dataset.defaults).textContent);
  form.addEventListener("keydown", (event) => {
    if (!event.target.matches("[data-key]") || IGNORED.has(event.key) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.target.value = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  });
  form.querySelector("[data-reset]").addEventListener("click", () => {
    for (const [action, key] of Object.entries(defaults)) form.elements[`key-${action}`].value = key;
  });
}
