// Which units are high in a stretch of a text and low elsewhere, and where in the text a unit is highest.

const MOST = 8;
const CONTEXTS = 5;
const [BEFORE, AFTER] = [32, 16]; // characters around the token where a unit is high
const APART = 4; // tokens from one place to the next, at least

/** The places of the tokens that a stretch of the text touches, first and last. */
export function touched(tokens, start, end) {
  let place = 0;
  const inside = [];
  tokens.forEach((text, index) => {
    const core = place + text.length - text.trimStart().length; // the space before a word is none of it
    if (core < end && place + text.length > start) inside.push(index);
    place += text.length;
  });
  return inside.length ? [inside[0], inside.at(-1)] : null;
}

/** The units whose mean in a stretch is most above their mean elsewhere: [{layer, unit, inside, outside}]. */
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

/** Where a unit is highest, each place with what stands around it: [{before, token, after, activation}]. */
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
