// What this browser keeps for one person: unsent votes, drafts, sound. Works without storage, then only for this page.

const memory = new Map(); // what the browser would not keep: its storage is full or switched off

export function read(key, fallback) {
  if (memory.has(key)) return memory.get(key) ?? fallback;
  try {
    return JSON.parse(localStorage.getItem(key)) ?? fallback;
  } catch {
    return fallback;
  }
}

export function write(key, value) {
  try {
    if (value === undefined) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
    memory.delete(key);
  } catch {
    memory.set(key, value);
  }
}

/** Everything kept under keys that begin so. */
export function readAll(prefix) {
  const keys = new Set(memory.keys());
  try {
    for (const key of Object.keys(localStorage)) keys.add(key);
  } catch {
    // switched off: memory has it all
  }
  return [...keys].filter((key) => key.startsWith(prefix)).map((key) => read(key, null)).filter((value) => value !== null);
}
