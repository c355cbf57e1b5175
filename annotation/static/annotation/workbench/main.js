// The workbench: one clip in front, the next two behind it, one vote at a time.
//
// The server decides what comes next; this page only runs ahead of it by what it has leased. Nothing is thrown away
// before the server has answered: a choice is a draft, a submitted vote waits in the outbox.
import { call, Offline, pageOf, Refused, SignedOut, uuid } from "./api.js";
import { Clock } from "./clock.js";
import { Confidence } from "./confidence.js";
import { askForReason, signInAgain, wireClosers } from "./dialogs.js";
import { Drafts } from "./drafts.js";
import { belongsToFocus, keyName, Keys } from "./keys.js";
import { Outbox } from "./outbox.js";
import { Picker } from "./picker.js";
import { Player } from "./player.js";
import { Screen } from "./screen.js";
import { leaseToken, onTakenOver } from "./tabs.js";

const root = document.getElementById("workbench");
const page = JSON.parse(document.getElementById("workbench-data").textContent);
const { words } = page;
pageOf(page.person.user);
const screen = new Screen(root, page);
const part = (name) => screen.part(name);
const dialog = (name) => document.getElementById(`${name}-dialog`);

const keys = new Keys(page.keys, page.preferences.keys);
const player = new Player(part("stage"));
const picker = new Picker(part("picker"), page.taxonomy, { blind: page.blind, keyOf: (action) => keyName(keys.keyOf(action)), words });
const confidence = new Confidence(part("confidence"));
const outbox = new Outbox(page.person.id);
const token = await leaseToken(page.person.id);
const drafts = new Drafts({ personId: page.person.id, leaseToken: token, current: draftNow });
const clock = new Clock({ breakMinutes: page.preferences.break_minutes ?? page.break_minutes, onBreak: () => (part("break").hidden = false) });

let current = null; // {assignment, sample?, media_url, content_warning, …}
let upcoming = [];
let last = null; // the vote just submitted: {clientId, item, adjective, confidence, vote?}
let { progress } = page;
let signingIn = null;
let asking = 0; // counts the questions to the server; only the latest answer counts

// --- what is on the screen ---

function draftNow() {
  if (!current || screen.state !== "working") return null;
  return { assignment: current.assignment, adjective: picker.value, confidence: confidence.value, active_ms: clock.activeMs, from_ms: clock.fromMs };
}

function whyNot() {
  if (screen.state !== "working") return words.noClip;
  if (player.veiled) return words.veiled;
  if (!picker.value) return words.needAdjective;
  if (confidence.value === null) return words.needConfidence;
  return "";
}

const showGate = () => screen.gate(whyNot());
const showBadge = () => screen.badge(outbox, drafts);
const showProgress = () => screen.progress(progress);

function setState(state) {
  screen.state = state;
  showGate();
}

function showChoice() {
  screen.choice(picker.byKey.get(picker.value));
  showGate();
}

// --- one clip after another ---

function show(item, { askedAt } = {}) {
  current = item;
  takeDraft(item);
  setState("working");
  player.show(item.media_url, upcoming.map(({ media_url }) => media_url), { veiled: screen.warn(item.content_warning ?? []), askedAt });
  if (page.hints) screen.hint(item.hint);
  part("why-here").textContent = item.rung && item.rung !== "member" ? words.rungs[item.rung] ?? "" : "";
  document.dispatchEvent(new CustomEvent("workbench:show", { detail: item }));
  showChoice();
}

function takeDraft(item) {
  const draft = drafts.merge(item);
  picker.pick(draft.adjective || null, true);
  confidence.set(draft.confidence ?? null, true);
  clock.startClip(Math.max(draft.active_ms ?? 0, item.active_ms ?? 0));
}

/** Asks the server what is next and brings the screen in line with its answer. A tab that was taken over asks for nothing: it would take the clips back. */
async function refresh() {
  if (screen.state === "lost") return;
  const question = (asking += 1);
  try {
    const answer = await call("POST", "assignments/next", { lease_token: token, ...(page.rung ? { rung: page.rung } : {}) });
    if (question !== asking) return;
    if (!answer) nothingLeft();
    else take(answer);
  } catch (error) {
    if (question === asking) stuck(error);
  }
}

function take(answer) {
  outbox.holds(token);
  const onTheWay = outbox.votes.length; // the server has not counted these yet
  progress = { done_today: answer.progress.done_today + onTheWay, waiting: Math.max(answer.progress.waiting - onTheWay, 0) };
  showProgress();
  const { upcoming: ahead = [], ...first } = answer;
  const loading = new Map(upcoming.map(({ assignment, media_url }) => [assignment, media_url])); // under a new address they would load again
  const leased = [first, ...ahead]
    .filter(({ assignment }) => !outbox.has(assignment))
    .map((item) => ({ ...item, media_url: loading.get(item.assignment) ?? item.media_url }));
  const here = leased.find(({ assignment }) => assignment === current?.assignment);
  const keep = here && screen.state === "working" && !(current.renewed && player.failed);
  const item = here ? { ...here, renewed: current.renewed } : leased[0];
  upcoming = leased.filter(({ assignment }) => assignment !== item?.assignment);
  if (!item) return waitForOutbox();
  if (!keep) return show(item);
  current = { ...item, hint: item.hint ?? current.hint, media_url: current.media_url }; // the address on the screen stays: a new one would load the clip again
  player.preload(upcoming.map(({ media_url }) => media_url));
  const draft = drafts.merge(item); // what another machine had saved of a clip that this one put on the screen by itself
  if (!picker.value && confidence.value === null && (draft.adjective || draft.confidence != null)) {
    takeDraft(item);
    showChoice();
  }
}

// A clip's address expires: one that fails is asked for anew, once.
function renew() {
  if (!current) return;
  if (current.renewed) screen.say(words.brokenClip, "bad");
  else {
    current.renewed = true;
    refresh();
  }
}

function nothingLeft() {
  progress.waiting = 0;
  showProgress();
  upcoming = [];
  if (outbox.votes.length) return waitForOutbox();
  current = null;
  player.clear();
  setState("empty");
}

function waitForOutbox() {
  current = null;
  player.clear();
  setState("offline");
}

const RETRY_MS = 4000;
let retry = 0;
function stuck(error) {
  if (error instanceof SignedOut) return askPassword();
  if (error instanceof Offline) {
    clearTimeout(retry);
    retry = setTimeout(refresh, RETRY_MS);
    if (screen.state !== "working") setState("offline");
    return undefined;
  }
  if (error instanceof Refused) {
    player.clear();
    current = null;
    setState("empty");
    return screen.say(screen.reason(error), "bad");
  }
  throw error;
}

/** Puts the next leased clip on the screen at once; the server is asked behind it. */
function advance(askedAt) {
  const item = upcoming.shift();
  if (item) show(item, { askedAt });
  else {
    current = null;
    player.clear();
    setState("loading");
  }
}

// --- what a person does ---

async function submit() {
  const why = whyNot();
  if (why) {
    screen.nudge();
    return;
  }
  const askedAt = performance.now();
  const clientId = uuid();
  const body = { client_id: clientId, lease_token: token, adjective: picker.value, confidence: confidence.value, active_ms: clock.activeMs };
  last = { clientId, item: current, adjective: body.adjective, confidence: body.confidence, active_ms: body.active_ms };
  screen.say("");
  progress = { done_today: progress.done_today + 1, waiting: Math.max(progress.waiting - 1, 0) };
  showProgress();
  screen.spread(current.spread);
  const sent = outbox.add({ client_id: clientId, assignment: current.assignment, body });
  drafts.forget(current.assignment);
  advance(askedAt);
  showUndo();
  await sent;
  if (screen.state === "loading" && outbox.votes.length) setState("offline");
}

let undoTimer = 0;
function showUndo() {
  clearTimeout(undoTimer);
  part("undo").hidden = !last;
  if (last) undoTimer = setTimeout(() => forgetLast(), page.undo_s * 1000);
}

function forgetLast() {
  last = null;
  showUndo();
}

async function undo() {
  if (outbox.state === "sending") await outbox.flush(); // the vote is on its way: wait for its number
  if (!last || screen.state === "lost") return;
  const { clientId, item, vote, adjective, confidence: sure, active_ms } = last;
  if (!outbox.withdraw(clientId)) {
    if (!vote) return screen.say(words.noConnection, "warn"); // only the server can say whether it has arrived
    if (!(await tried(() => call("POST", `votes/${vote}/undo`), ["undone"]))) return;
  }
  forgetLast();
  if (screen.state === "lost") return; // taken over while the answer was on its way: it comes back there
  if (current) upcoming.unshift(current);
  progress = { done_today: Math.max(progress.done_today - 1, 0), waiting: progress.waiting + 1 };
  showProgress();
  drafts.keep(item.assignment, { adjective, confidence: sure, active_ms });
  show(item);
  screen.hud(words.undone);
  drafts.changed();
  refresh();
}

async function skip() {
  const answer = current && (await askFor("skip"));
  if (answer) await passOn(current, answer.reason, words.skipped);
}

/** A doubt about the clip goes to the cleaning review. What is broken or unsafe is not voted on; the others still are. */
async function flag() {
  const answer = current && (await askFor("flag"));
  if (!answer) return;
  const item = current;
  if (!(await tried(() => call("POST", `assignments/${item.assignment}/flag`, answer)))) return;
  if (["broken", "unsafe"].includes(answer.flag)) await passOn(item, `flagged: ${answer.flag}`, words.flagged);
  else screen.say(words.flaggedGoOn, "good");
}

/** Only when asked, and the vote will remember it: whoever has not asked has judged alone. */
async function hint() {
  const item = current;
  if (!page.hints || !item || screen.state !== "working" || player.veiled) return;
  await tried(async () => {
    const answer = await call("POST", `assignments/${item.assignment}/hint`, { lease_token: token });
    item.hint = answer.hint;
    if (current?.assignment !== item.assignment) return;
    current.hint = answer.hint;
    screen.hint(answer.hint, { asked: true });
  });
}

async function askFor(kind) {
  const item = current;
  const answer = await askForReason(dialog(kind));
  return current?.assignment === item.assignment ? answer : null; // the row may have been read anew meanwhile
}

async function passOn(item, reason, text) {
  const done = await tried(() => call("POST", `assignments/${item.assignment}/skip`, { reason }), ["closed"]);
  if (!done) return;
  drafts.forget(item.assignment);
  screen.say(text, "good");
  progress.waiting = Math.max(progress.waiting - 1, 0);
  if (current?.assignment === item.assignment) advance(performance.now());
  refresh();
}

/** Runs one call and says what went wrong, if anything; true when it worked, or was refused with a code in `fine`. */
async function tried(action, fine = []) {
  try {
    await action();
    return true;
  } catch (error) {
    if (error instanceof SignedOut) askPassword();
    else if (error instanceof Offline) screen.say(words.noConnection, "warn");
    else if (!(error instanceof Refused)) throw error;
    else if (fine.includes(error.code)) return true;
    else screen.say(screen.reason(error), "bad");
    return false;
  }
}

function askPassword() {
  showBadge();
  signingIn ??= signInAgain(dialog("signin"), { urls: page.urls, username: page.person.username, words }).then(async (done) => {
    signingIn = null;
    if (!done) return showBadge();
    await outbox.flush();
    if (draftNow()) await drafts.save();
    return refresh();
  });
  return signingIn;
}

let focusBefore = null;
function toggleGuide() {
  const guide = part("help");
  guide.hidden = !guide.hidden;
  part("help-button").setAttribute("aria-expanded", String(!guide.hidden));
  if (guide.hidden) (focusBefore ?? document.body).focus();
  else {
    focusBefore = document.activeElement;
    guide.focus();
  }
}

function lost(text) {
  asking += 1; // an answer that is still on its way counts no more
  part("lost-reason").textContent = text;
  player.clear();
  current = null;
  setState("lost");
}

// --- wiring ---

picker.addEventListener("pick", () => {
  showChoice();
  if (picker.value) screen.hud(picker.byKey.get(picker.value).name);
  drafts.changed();
});
confidence.addEventListener("pick", () => {
  showGate();
  drafts.changed();
});
player.addEventListener("hud", ({ detail }) => screen.hud(detail.text));
player.addEventListener("started", showGate);
player.addEventListener("soundblocked", () => (part("sound-blocked").hidden = false));
player.addEventListener("soundunblocked", () => (part("sound-blocked").hidden = true));
player.addEventListener("sound", () => part("mute").setAttribute("aria-pressed", String(player.sound.muted)));
player.addEventListener("broken", renew);
drafts.addEventListener("change", showBadge);
drafts.addEventListener("signedout", askPassword);
drafts.addEventListener("lost", ({ detail }) => {
  if (detail.error.code === "lease_lost") lost(words.takenOver);
  else {
    screen.say(screen.reason(detail.error), "warn");
    drafts.forget(detail.assignment);
    current = null;
    refresh();
  }
});
outbox.addEventListener("change", () => {
  showBadge();
  if (screen.state === "offline" && outbox.state === "idle" && !outbox.votes.length) refresh(); // another tab may have sent them
});
outbox.addEventListener("signedout", askPassword);
outbox.addEventListener("sent", ({ detail }) => {
  if (last?.clientId === detail.vote.client_id) last.vote = detail.answer.vote ?? detail.answer.id;
  drafts.savedAt = new Date();
  showBadge();
  document.dispatchEvent(new CustomEvent("workbench:sent", { detail }));
  refresh();
});
outbox.addEventListener("refused", ({ detail }) => {
  const { assignment, body } = detail.vote;
  drafts.keep(assignment, body);
  if (last?.clientId === body.client_id) forgetLast();
  screen.say(`${words.voteRefused} ${screen.reason(detail.error)}`, "bad");
  refresh();
});
const claim = onTakenOver(page.person.id, token, () => lost(words.takenOver));

const ACTIONS = {
  play: () => player.togglePlay(),
  back: () => player.seek(-1),
  forward: () => player.seek(1),
  frameBack: () => player.step(-1),
  frameForward: () => player.step(1),
  slower: () => player.speed(-1),
  faster: () => player.speed(1),
  mute: () => player.toggleMute(),
  louder: () => player.volume(0.1),
  quieter: () => player.volume(-0.1),
  fullScreen: () => player.fullScreen(),
  submit,
  undo,
  skip,
  flag,
  hint,
  filter: () => picker.filter.focus(),
  help: toggleGuide,
  reveal: () => {
    player.reveal();
    showGate();
  },
  takeOver: () => {
    claim();
    setState("loading");
    refresh();
  },
  rested: () => (part("break").hidden = true),
  signIn: askPassword,
  again: () => refresh(),
};
for (let i = 0; i < 6; i += 1) ACTIONS[`group${i + 1}`] = () => picker.open(i);

function escape() {
  if (!part("help").hidden) toggleGuide();
  else picker.close();
}

const REPEATING = new Set(["back", "forward", "frameBack", "frameForward", "louder", "quieter"]);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || belongsToFocus(event)) return;
  const action = keys.actionOf(event);
  if (event.key === "Escape") escape();
  else if (event.repeat && !REPEATING.has(action)) {
    if (action) event.preventDefault(); // a key held a moment too long opens a group, and must not pick from it
  } else if (event.key.length === 1 && picker.letter(event.key.toLowerCase())) event.preventDefault();
  else if (confidence.digit(event.key)) event.preventDefault();
  else if (action) {
    event.preventDefault();
    ACTIONS[action]();
  }
});
root.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action]");
  if (button) {
    ACTIONS[button.dataset.action]();
    if (event.detail > 0) button.blur(); // clicked: Space and Enter go on meaning play and submit
  } else if (event.target.matches("video")) player.togglePlay();
});
window.addEventListener("beforeunload", (event) => {
  if (outbox.votes.length) event.preventDefault(); // nothing is lost, but it has not arrived either
});
for (const hint of document.querySelectorAll("[data-key-of]")) hint.textContent = keyName(keys.keyOf(hint.dataset.keyOf));
wireClosers(document);

setState("loading");
showBadge();
showProgress();
await outbox.flush();
await refresh();
