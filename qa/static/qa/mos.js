// The keys 1 to 5 press the buttons of the scale.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  document.querySelector(`button[data-key="${CSS.escape(event.key)}"]`)?.click();
});
