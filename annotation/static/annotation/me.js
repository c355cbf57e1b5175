// The key fields take the key that is pressed in them, instead of its letter being typed, and show its name: a space would look empty.
import { keyName } from "./workbench/keys.js";

const IGNORED = new Set(["Tab", "Shift", "Control", "Alt", "Meta", "Escape", "CapsLock"]);

for (const form of document.querySelectorAll("[data-key-form]")) {
  const defaults = JSON.parse(document.getElementById(form.dataset.defaults).textContent);
  const fields = [...form.querySelectorAll("[data-key]")];
  const sent = (field) => field.previousElementSibling;
  const take = (field, key) => {
    sent(field).value = key;
    field.value = keyName(key);
  };
  for (const field of fields) take(field, sent(field).value);
  form.addEventListener("keydown", (event) => {
    if (!fields.includes(event.target) || IGNORED.has(event.key) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    take(event.target, event.key.length === 1 ? event.key.toLowerCase() : event.key);
  });
  form.querySelector("[data-reset]").addEventListener("click", () => {
    for (const field of fields) take(field, defaults[field.dataset.key]);
  });
}
