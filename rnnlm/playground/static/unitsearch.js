// Finds units that are high in a stretch of a text and low elsewhere, and the places where a unit is highest.

const MOST = 8;
const CONTEXTS = 5;
const [BEFORE, AFTER] = [32, 16]; // characters shown around the token where a unit is high
const APART = 4; // smallest distance between two places, in tokens

/** Returns the places of the first and last token that a stretch of the text touches, or null. */
export function touched(tokens, start, end) {
  let place = 0;
  const inside = [];
  tokens.forEach((text, index) => {
    const core = place + text.length - text.trimStart().length; // without the space before a word
    if (core < end && place + text.length > start) inside.push(index);
    place += text.length;
  });
  return inside.length ? [inside[0], inside.at(-1)] : null;
}

/** Returns the units whose mean in a stretch is most above their mean elsewhere: [{layer, unit, inside, outside}]. */
export function higherIn(all, [first, last]) {
  const number = last - first + 1;
  const elsewhere = all.tokens.length - number;
  const found = [];
  for (let layer = 0; layer < all.layers; layer++) {
    for (let unit = 0; unit < all.units; unit++) {
      let [inside, outside] = [0, 0];
      for (let place = 0; place < all.tokens.length; place++) {
        const value = all.at(place, layer, unit);
        if (place >= first && place <= last) inside += value / number;
        else outside += value / elsewhere;
      }
      found.push({ layer, unit, inside, outside });
    }
  }
  return found.sort((one, other) => other.inside - other.outside - (one.inside - one.outside)).slice(0, MOST);
}

/** Returns the places where a unit is highest, with the text around them: [{before, token, after, activation}]. */
export function contexts(all, layer, unit) {
  const places = all.tokens.map((_, place) => place);
  places.sort((one, other) => all.at(other, layer, unit) - all.at(one, layer, unit));
  const chosen = [];
  for (const place of places) {
    if (chosen.every((other) => Math.abs(other - place) >= APART)) chosen.push(place);
    if (chosen.length === CONTEXTS) break;
  }
  return chosen.map((place) => ({
    before: all.tokens.slice(0, place).join("").slice(-BEFORE),
    token: all.tokens[place],
    after: all.tokens.slice(place + 1).join("").slice(0, AFTER),
    activation: all.at(place, layer, unit),
  }));
}
