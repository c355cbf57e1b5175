// What the workbench shows around the clip: its state, why one cannot submit yet, the save badge, the day's progress.

export class Screen {
  constructor(root, page) {
    this.root = root;
    this.page = page;
    this.words = page.words;
    this.hudTimer = 0;
  }

  part(name) {
    return this.root.querySelector(`[data-part="${name}"]`);
  }

  get state() {
    return this.root.dataset.state;
  }

  /** loading, working, empty, offline or lost: the cover of that name is shown, the others are not. */
  set state(state) {
    this.root.dataset.state = state;
    for (const box of this.root.querySelectorAll("[data-when]")) box.hidden = box.dataset.when !== state;
  }

  /** Submit looks ready only when nothing is missing; else the reason stands beside it. */
  gate(why) {
    this.part("submit").setAttribute("aria-disabled", String(Boolean(why)));
    this.part("why").textContent = why;
  }

  nudge() {
    const why = this.part("why");
    why.classList.remove("nudge");
    void why.offsetWidth; // restarts the movement
    why.classList.add("nudge");
  }

  /** The chosen adjective, and the emotion it stands for unless the site is blind. */
  choice(adjective) {
    this.part("chosen").textContent = adjective ? adjective.name : this.words.nothingChosen;
    const derived = this.part("derived");
    derived.hidden = !adjective || this.page.blind;
    if (derived.hidden) return;
    const emotion = this.page.taxonomy.emotions.find(({ key }) => key === adjective.emotion);
    derived.className = `emotion emotion-${emotion.key}`;
    derived.textContent = emotion.name;
  }

  /** Where the work is: on the server, on its way, or only here. */
  badge(outbox, drafts) {
    const signedOut = outbox.state === "signedout" || drafts.state === "signedout";
    const [text, kind] = this.badgeText(outbox, drafts, signedOut);
    this.part("badge").textContent = text;
    this.part("badge").className = `badge ${kind}`;
    this.part("signin").hidden = !signedOut;
  }

  badgeText(outbox, drafts, signedOut) {
    const waiting = outbox.votes.length;
    if (waiting && outbox.state !== "sending") return [this.words.waiting.replace("%s", waiting), "warn"];
    if (signedOut) return [this.words.signedout, "warn"];
    if (outbox.state === "offline" || drafts.state === "offline") return [this.words.offline, "warn"];
    if (waiting || ["saving", "waiting"].includes(drafts.state)) return [this.words.saving, ""];
    if (!drafts.savedAt) return [this.words.ready, ""];
    const time = drafts.savedAt.toLocaleTimeString(document.documentElement.lang, { hour12: false });
    return [this.words.saved.replace("%s", time), "good"];
  }

  progress({ done_today: done, waiting }) {
    const all = done + waiting;
    this.part("today").textContent = this.words.today.replace("%(done)s", done).replace("%(all)s", all);
    this.part("bar").max = Math.max(all, 1);
    this.part("bar").value = done;
  }

  /** A word over the clip, for a moment: what a key did. */
  hud(text) {
    this.part("hud").textContent = text;
    this.part("hud").classList.add("on");
    clearTimeout(this.hudTimer);
    this.hudTimer = setTimeout(() => this.part("hud").classList.remove("on"), 700);
  }

  say(text, kind = "") {
    const notice = this.part("notice");
    notice.textContent = text;
    notice.className = `notice ${kind}`;
    notice.hidden = !text;
  }

  /** What was refused, in the reader's language where its code is known. */
  reason(error) {
    return this.words.refusals[error.code] ?? error.message;
  }

  /** Names the content warnings; true when the clip is to be blurred. */
  warn(warnings) {
    this.part("warning").textContent = warnings.map((one) => this.words.warnings[one] ?? one).join(", ");
    return warnings.length > 0 && this.page.preferences.blur !== false;
  }

  /** What a finished run expects, once asked for; `asked` and nothing there: says so. */
  hint(hint, { asked = false } = {}) {
    const box = this.part("hint");
    box.textContent = asked && !hint ? this.words.noHint : "";
    this.part("hint-button").hidden = Boolean(hint);
    if (!hint) return;
    const emotion = this.page.taxonomy.emotions.find(({ key }) => key === hint.emotion);
    const name = Object.assign(document.createElement("span"), { className: `emotion emotion-${emotion.key}`, textContent: emotion.name });
    const [before, after] = this.words.hint.replace("%(sure)s", hint.probability.toFixed(2)).split("%(emotion)s");
    box.append(before, name, after);
  }

  /** After the own vote, where the site allows it: what the others had said, without names. */
  spread(votes) {
    const name = (key) => this.page.taxonomy.emotions.find((one) => one.key === key).name;
    const line = Object.entries(votes ?? {}).map(([key, n]) => `${name(key)} ${n}`);
    if (line.length) this.say(`${this.words.spread} ${line.join(", ")}`);
  }
}
