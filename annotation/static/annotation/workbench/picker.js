// 62 adjectives in six key groups: a key opens a group, a letter picks; or type to filter; or click.
import { groupsOf, lettersOf } from "./letters.js";

export class Picker extends EventTarget {
  /** Event: pick. `data` is the page's taxonomy: {adjectives: [{key, name, en, zh, emotion}], emotions: [{key, name, letter, polarity}]}. */
  constructor(root, data, { blind, keyOf, words }) {
    super();
    this.root = root;
    this.data = data;
    this.blind = blind;
    this.keyOf = keyOf;
    this.words = words;
    this.byKey = new Map(data.adjectives.map((one) => [one.key, one]));
    this.filter = root.querySelector("[data-filter]");
    this.found = root.querySelector("[data-found]");
    this.box = root.querySelector("[data-groups]");
    this.value = null;
    this.openGroup = null;
    this.build();
    this.filter.addEventListener("input", (event) => event.isComposing || this.applyFilter());
    this.filter.addEventListener("compositionend", () => this.applyFilter());
    this.filter.addEventListener("keydown", (event) => this.onFilterKey(event));
    this.box.addEventListener("change", (event) => this.pick(event.target.value));
    this.box.addEventListener("click", (event) => this.onClick(event));
  }

  build() {
    const language = document.documentElement.lang;
    this.groups = groupsOf(this.data.adjectives, this.data.emotions, this.blind, language);
    this.letters = new Map();
    this.box.replaceChildren(...this.groups.map((group, index) => this.groupElement(group, index)));
  }

  groupElement({ emotion, adjectives }, index) {
    const letters = lettersOf(adjectives);
    this.letters.set(index, new Map([...letters].map(([key, letter]) => [letter, key])));
    const box = document.createElement("fieldset");
    box.className = `group ${emotion ? `emotion-${emotion.key}` : ""}`;
    box.dataset.group = index;
    const legend = document.createElement("legend");
    legend.append(this.opener(emotion, adjectives, index));
    const list = document.createElement("div");
    list.className = "choices";
    list.append(...adjectives.map((one) => this.choice(one, letters.get(one.key))));
    box.append(legend, list);
    return box;
  }

  opener(emotion, adjectives, index) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "opener";
    button.dataset.open = index;
    const key = document.createElement("kbd");
    key.textContent = this.keyOf(`group${index + 1}`).toUpperCase();
    const name = document.createElement("span");
    name.textContent = emotion ? emotion.name : `${adjectives[0].name} – ${adjectives.at(-1).name}`;
    button.append(key, name);
    if (emotion) {
      const polarity = document.createElement("span");
      polarity.className = "polarity";
      polarity.textContent = { 1: "▲", 0: "●", "-1": "▼" }[emotion.polarity];
      polarity.title = this.words[{ 1: "positive", 0: "neutral", "-1": "negative" }[emotion.polarity]];
      polarity.setAttribute("role", "img");
      polarity.setAttribute("aria-label", polarity.title);
      button.append(polarity);
    }
    return button;
  }

  choice(one, letter) {
    const label = document.createElement("label");
    label.className = "choice";
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "adjective", value: one.key });
    const key = document.createElement("kbd");
    key.textContent = letter.toUpperCase();
    key.setAttribute("aria-hidden", "true");
    const name = document.createElement("span");
    name.textContent = one.name;
    label.append(input, key, name);
    label.title = one.name === one.en ? one.zh : one.en;
    return label;
  }

  // A click must not leave the focus on the radio: the arrow keys would then change the choice instead of the clip's time.
  onClick(event) {
    const opener = event.target.closest("[data-open]");
    if (opener) this.open(Number(opener.dataset.open));
    if (event.detail > 0) document.activeElement?.blur?.();
  }

  get emotion() {
    return this.value ? this.byKey.get(this.value).emotion : null;
  }

  pick(key, quietly = false) {
    this.value = key && this.byKey.has(key) ? key : null;
    for (const input of this.box.querySelectorAll("input")) input.checked = input.value === this.value;
    this.close();
    if (!quietly) this.dispatchEvent(new Event("pick"));
  }

  open(index) {
    const again = this.openGroup === index;
    this.close();
    if (again) return;
    this.clearFilter();
    this.openGroup = index;
    const box = this.box.children[index];
    box.classList.add("open");
    this.root.classList.add("choosing");
    box.querySelector(".choices").scrollIntoView({ block: "nearest" });
  }

  close() {
    this.openGroup = null;
    this.root.classList.remove("choosing");
    for (const box of this.box.children) box.classList.remove("open");
  }

  /** True when an open group took the letter. */
  letter(letter) {
    if (this.openGroup === null) return false;
    const key = this.letters.get(this.openGroup).get(letter);
    if (key) this.pick(key);
    return Boolean(key);
  }

  // --- filter ---

  matches(text) {
    const wanted = text.trim().toLowerCase();
    return (one) => [one.en, one.zh, one.name].some((name) => name.toLowerCase().includes(wanted));
  }

  applyFilter() {
    const fits = this.matches(this.filter.value);
    const inputs = [...this.box.querySelectorAll("input")];
    for (const input of inputs) input.parentElement.hidden = !fits(this.byKey.get(input.value));
    for (const box of this.box.children) box.hidden = !box.querySelector(".choice:not([hidden])");
    const visible = inputs.filter((input) => !input.parentElement.hidden);
    const active = this.filter.value.trim() !== "";
    this.first = active ? this.bestMatch(visible) : null;
    for (const input of inputs) input.parentElement.classList.toggle("first", input === this.first);
    this.root.classList.toggle("filtering", active);
    this.found.textContent = active ? this.words.found.replace("%s", visible.length) : "";
  }

  bestMatch(inputs) {
    const wanted = this.filter.value.trim().toLowerCase();
    const starts = (input) => {
      const one = this.byKey.get(input.value);
      return one.en.toLowerCase().startsWith(wanted) || one.zh.startsWith(wanted);
    };
    return inputs.find(starts) ?? inputs[0] ?? null;
  }

  clearFilter() {
    this.filter.value = "";
    this.applyFilter();
  }

  onFilterKey(event) {
    if (event.isComposing || event.keyCode === 229) return; // Enter and Escape belong to the input method while it writes a word
    if (event.key === "Enter" && this.first) {
      event.preventDefault();
      event.stopPropagation();
      this.pick(this.first.value);
      this.clearFilter();
      this.filter.blur();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      this.clearFilter();
      this.filter.blur();
    }
  }
}
