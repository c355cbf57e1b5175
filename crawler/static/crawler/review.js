// The review page by keyboard: every button with data-key is pressed by its key; space plays and stops both clips together.

const typing = (element) => element.closest("input, textarea, select, [contenteditable]");

function press(key) {
  const button = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!button || button.disabled) return false;
  button.click();
  return true;
}

// Doubtful clips may scream: each begins soft, or softer still where the reviewer has turned the one before down or off.
const SOFT = 0.3;
const clips = [...document.querySelectorAll("[data-clip]")];
const before = JSON.parse(sessionStorage.getItem("review") ?? "{}");
for (const clip of clips) {
  clip.volume = Math.min(SOFT, before.volume ?? SOFT);
  clip.muted = before.muted ?? false;
}

function playTogether() {
  const start = clips.some((clip) => clip.paused);
  for (const clip of clips) {
    if (start) {
      clip.currentTime = clips[0].currentTime;
      clip.play().catch(() => {}); // the browser may want a click first: the controls are there
    } else clip.pause();
  }
  return clips.length > 0;
}

// Whoever had the last clip playing has this one played too; the browser may refuse that.
if (before.playing) playTogether();

document.addEventListener("keydown", (event) => {
  // A key that is held down must not decide about the next clip, which nobody has seen.
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const onControl = event.target.closest("button, a, video, summary");
  const done = event.key === " " ? !onControl && playTogether() : press(event.key.toLowerCase());
  if (done) event.preventDefault();
});

document.querySelector("[data-unblur]")?.addEventListener("click", (event) => {
  const sharp = event.currentTarget.getAttribute("aria-pressed") !== "true";
  event.currentTarget.setAttribute("aria-pressed", String(sharp));
  for (const clip of document.querySelectorAll("[data-clip]")) clip.classList.toggle("blurred", !sharp);
});

// A decision is sent once: a second key press while the page changes must not decide about the next clip.
for (const form of document.querySelectorAll("[data-review] form")) {
  form.addEventListener("submit", () => {
    const [clip] = clips;
    sessionStorage.setItem("review", JSON.stringify({ volume: clip.volume, muted: clip.muted, playing: !clip.paused }));
    for (const button of document.querySelectorAll("[data-key]")) setTimeout(() => { button.disabled = true; });
  });
}
