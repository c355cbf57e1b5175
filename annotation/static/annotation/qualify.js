// The labelling test: one item at a time, one key per emotion. The answers stay in this browser until they are handed
// in; what came of them, the page itself tells when it is loaded again.
import { call, Offline, Refused, SignedOut } from "./workbench/api.js";
import { belongsToFocus } from "./workbench/keys.js";

const root = document.getElementById("qualify");
const { scene: language, words } = JSON.parse(document.getElementById("qualify-data").textContent);
const part = (name) => root.querySelector(`[data-part="${name}"]`);
const emotions = [...root.querySelectorAll("[data-emotion]")];
const clip = part("clip");

let attempt = null; // {attempt, part, items}
let answers = {}; // item → emotion
let at = 0; // place of the item shown; behind the last one: all done
let renewed = null; // the item whose address was asked for anew, once
let busy = false;

// --- answers kept here ---

const storeName = () => `qualify.${attempt.attempt}`;

function recall() {
  try {
    return JSON.parse(localStorage.getItem(storeName())) ?? {};
  } catch {
    return {}; // no store in this browser, or something else in it: begin with nothing
  }
}

function keep() {
  try {
    localStorage.setItem(storeName(), JSON.stringify(answers));
  } catch {
    // a private window: the answers live as long as the page
  }
}

function forget() {
  try {
    localStorage.removeItem(storeName());
  } catch {
    // nothing was kept
  }
}

// --- what is on the screen ---

function say(text) {
  part("notice").textContent = text;
  part("notice").hidden = !text;
  part("sign-in").hidden = text !== words.signedOut;
}

const nextOpen = () => attempt.items.findIndex(({ item }) => !answers[item]);

function show(place) {
  at = place;
  const { items } = attempt;
  const item = items[at];
  const answered = items.filter((one) => answers[one.item]).length;
  part("bar").max = items.length;
  part("bar").value = answered;
  part("place").textContent = words.place.replace("%(place)s", item ? at + 1 : answered).replace("%(all)s", items.length);
  part("item").hidden = !item;
  part("done").hidden = Boolean(item);
  part("hand-in").hidden = answered < items.length;
  part("play").hidden = !item || attempt.part !== "quality";
  for (const button of emotions) button.setAttribute("aria-pressed", String(Boolean(item) && answers[item.item] === button.dataset.emotion));
  showItem(item);
}

function showItem(item) {
  part("scene").hidden = item?.media_url !== undefined;
  clip.hidden = !item || item.media_url === undefined;
  part("scene").textContent = item?.[language] ?? "";
  if (clip.hidden) {
    clip.pause();
    return;
  }
  if (!item.media_url) {
    clip.removeAttribute("src");
    say(words.brokenClip);
  } else if (clip.getAttribute("src") !== item.media_url) {
    clip.src = item.media_url;
    clip.play().catch(() => {}); // refused without a gesture, or the next clip came: the controls are there
  }
}

/** A clip's address expires: it is asked for anew, once. */
async function renew() {
  const place = at;
  if (!attempt?.items[place] || clip.hidden) return;
  if (renewed === place) return say(words.brokenClip);
  renewed = place;
  await tried(async () => {
    attempt = await call("POST", "qualification", { part: attempt.part });
    if (at === place) show(place);
  });
}

// --- what a person does ---

async function begin(name) {
  await tried(async () => {
    attempt = await call("POST", "qualification", { part: name });
    answers = recall();
    part("name").textContent = words.names[name];
    part("question").textContent = words.questions[name];
    part("standing").hidden = true;
    part("test").hidden = false;
    show(nextOpen() < 0 ? attempt.items.length : nextOpen());
    part("test").focus({ preventScroll: true });
    part("test").scrollIntoView();
  });
}

function choose(emotion) {
  const item = attempt.items[at];
  if (!item) return;
  say("");
  answers[item.item] = emotion;
  keep();
  if (at + 1 < attempt.items.length) show(at + 1);
  else show(nextOpen() < 0 ? attempt.items.length : nextOpen());
}

async function handIn() {
  if (nextOpen() >= 0) return;
  await tried(async () => {
    await call("POST", `qualification/${attempt.attempt}/submit`, { answers });
    forget();
    location.reload();
  });
}

/** One request at a time; says what went wrong. A state that has changed behind the page is told by loading it again. */
async function tried(action) {
  if (busy) return;
  busy = true;
  say("");
  try {
    await action();
  } catch (error) {
    if (error instanceof SignedOut) say(words.signedOut);
    else if (error instanceof Offline) say(words.noConnection);
    else if (!(error instanceof Refused)) throw error;
    else if (error.status === 409 || error.code === "no_gold") location.reload();
    else say(error.message);
  } finally {
    busy = false;
  }
}

// --- wiring ---

const ACTIONS = {
  back: () => show(Math.max(at - 1, 0)),
  forward: () => {
    if (answers[attempt.items[at]?.item]) show(at + 1);
  },
  play: () => {
    if (!clip.hidden) clip.paused ? clip.play().catch(() => {}) : clip.pause();
  },
  handIn,
};
const KEYS = { ArrowLeft: "back", ArrowRight: "forward", " ": "play", Enter: "handIn" };

document.addEventListener("keydown", (event) => {
  if (!attempt || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || belongsToFocus(event)) return;
  const emotion = emotions.find((button) => button.dataset.emotion[0] === event.key.toUpperCase());
  const action = KEYS[event.key];
  if ((!emotion && !action) || (action && event.target === clip)) return;
  event.preventDefault();
  if (event.repeat) return;
  if (emotion) choose(emotion.dataset.emotion);
  else ACTIONS[action]();
});
root.addEventListener("click", (event) => {
  const button = event.target.closest("[data-begin], [data-emotion], [data-action]");
  if (!button) return;
  if (button.dataset.begin) begin(button.dataset.begin);
  else if (button.dataset.emotion) choose(button.dataset.emotion);
  else ACTIONS[button.dataset.action]();
  if (event.detail > 0) button.blur(); // clicked: Space and Enter go on meaning play and hand in
});
clip.addEventListener("error", () => {
  if (clip.getAttribute("src")) renew();
});
