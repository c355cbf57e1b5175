// Which letter picks which adjective inside its group: the first letter of the word that is still free, stable in table order.

export function lettersOf(adjectives) {
  const letters = new Map();
  const taken = new Set();
  const take = (adjective, letter) => {
    letters.set(adjective.key, letter);
    taken.add(letter);
  };
  for (const adjective of adjectives) {
    if (!taken.has(adjective.key[0])) take(adjective, adjective.key[0]);
  }
  for (const adjective of adjectives) {
    if (letters.has(adjective.key)) continue;
    const own = [...adjective.key].find((letter) => /[a-z]/.test(letter) && !taken.has(letter));
    take(adjective, own ?? [..."abcdefghijklmnopqrstuvwxyz"].find((letter) => !taken.has(letter)));
  }
  return letters;
}

/** The adjectives in six groups. Blind: by the alphabet of the language, so that a group does not tell the emotion. */
export function groupsOf(adjectives, emotions, blind, language) {
  if (!blind) return emotions.map((emotion) => ({ emotion, adjectives: adjectives.filter((one) => one.emotion === emotion.key) }));
  const sorted = [...adjectives].sort((a, b) => a.name.localeCompare(b.name, language));
  const size = Math.ceil(sorted.length / 6);
  return emotions.map((_, i) => ({ emotion: null, adjectives: sorted.slice(i * size, (i + 1) * size) }));
}
