// Which key does what. Every action can be given another key on the page of one's own work.

const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Enter: "Enter" };

export const keyName = (key) => NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key);

export class Keys {
  constructor(defaults, own = {}) {
    this.map = { ...defaults, ...own };
    // A key that was chosen before a newer action had it by default stays with what it was chosen for.
    this.actions = new Map([...Object.entries(defaults), ...Object.entries(own)].filter(([action, key]) => this.map[action] === key).map(([action, key]) => [key, action]));
  }

  keyOf(action) {
    return this.map[action];
  }

  actionOf(event) {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    return this.actions.get(key) ?? null;
  }
}

/** True where a key belongs to what has the focus: typing, or pressing a button. */
export function belongsToFocus(event) {
  const target = event.target;
  if (target.closest?.("dialog[open]")) return true;
  if (target.matches?.("input:not([type=radio]), textarea, select, [contenteditable]")) return true;
  if (event.key === " " || event.key === "Enter") {
    if (target.matches?.("input[type=radio]")) return event.key === " ";
    return Boolean(target.closest?.("button, a, summary"));
  }
  return event.key.startsWith("Arrow") && Boolean(target.matches?.("input[type=radio]"));
}
