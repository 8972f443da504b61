// A language model in the page: text to ids and back, and reading a text. See rnnlm/codec.py.

import { Network } from "./network.js";
import { spacingOf } from "./spacing.js";
import { placesOf, tokenizerOf } from "./tokens.js";
import { unpack } from "./weights.js";

export const EOS = 1;
export const UNK = 2;
const FIRST = 3; // id of the first token of text
const MOST_REMEMBERED = 4096; // states
const TURN = 12; // milliseconds of work before the page may handle events

export class Model {
  #read = { ids: [], states: [] }; // the last text that was read, and the state after each of its ids
  #worked = performance.now();

  constructor(described, base64) {
    Object.assign(this, described); // the description by standalone.py: level, context, tokens, start, end, ...
    const words = this.tokens.slice(FIRST);
    this.ids = new Map(words.map((token, place) => [token, FIRST + place]));
    const counts = new Map(words.map((token, place) => [token, this.counts[place]]));
    this.tokenizer = tokenizerOf(this.tokenizer, counts);
    this.network = new Network(this.network, unpack(base64, this.arrays));
    this.zero = this.zero.map((layer) => Object.fromEntries(Object.entries(layer).map(([name, values]) => [name, Float32Array.from(values)])));
  }

  // --- text -> ids ------------------------------------------------------------------------------------------------

  lineIds(line) {
    return this.tokenizer.tokens(line).map((token) => this.ids.get(token) ?? UNK);
  }

  /** Returns the ids of a text: complete lines end with </s>, and blank lines are left out. */
  encode(text) {
    if (!this.reads_lines) return this.lineIds(text);
    const lines = text.split("\n");
    const last = lines.pop();
    return [...lines.filter((line) => line.trim()).flatMap((line) => [...this.lineIds(line), EOS]), ...this.lineIds(last)];
  }

  /** Returns the part of a text that the next token depends on. */
  unfinished(text) {
    return this.context === "sentence" ? text.slice(text.lastIndexOf("\n") + 1) : text;
  }

  /** Cuts a text into pieces whose concatenation is the text, with its end: [{text, token, id}]. */
  cut(text) {
    const lines = this.reads_lines ? text.split("\n") : [text];
    const pieces = [];
    let before = ""; // blank lines, and the white space before a token
    lines.forEach((line, number) => {
      const end = !this.reads_lines ? null : number < lines.length - 1 ? "\n" : "";
      if (end !== null && !line.trim()) {
        before += line + end;
        return;
      }
      const tokens = this.tokenizer.tokens(line);
      let place = 0;
      placesOf(line, tokens).forEach(([, stop], index) => {
        const token = tokens[index];
        pieces.push({ text: before + line.slice(place, stop), token, id: this.ids.get(token) ?? UNK });
        [before, place] = ["", stop];
      });
      before += line.slice(place);
      if (end === null) return;
      pieces.push({ text: before + end, token: "</s>", id: EOS });
      before = "";
    });
    if (pieces.length) pieces.at(-1).text += before;
    const newline = this.ids.get("\n");
    const open = !this.reads_lines && newline !== undefined && pieces.length && pieces.at(-1).token !== "\n";
    return open ? [...pieces, { text: "", token: "\n", id: newline }] : pieces;
  }

  unknown(text) {
    const tokens = text.split("\n").flatMap((line) => this.tokenizer.tokens(line));
    return [...new Set(tokens.filter((token) => !this.ids.has(token) && !/^<unk>$/i.test(token)))];
  }

  // --- reading ----------------------------------------------------------------------------------------------------

  /** Lets the page handle events if TURN has passed; throws if the request was aborted. */
  async breathe(signal) {
    if (performance.now() - this.#worked < TURN) return;
    await new Promise((resolve) => setTimeout(resolve));
    this.#worked = performance.now();
    signal?.throwIfAborted();
  }

  /** Returns the state after ids of a text or of its last line; ids in common with the last text are not read again. */
  async read(ids, signal) {
    const lineStart = this.context === "sentence" ? ids.lastIndexOf(EOS) + 1 : 0;
    const all = [this.start, ...ids.slice(lineStart)];
    const { ids: known, states } = this.#read;
    let shared = 0;
    while (shared < Math.min(states.length, all.length) && known[shared] === all[shared]) shared++;
    const now = { ids: all, states: states.slice(0, shared) };
    let state = states[shared - 1] ?? this.zero;
    for (let place = shared; place < all.length; place++) {
      await this.breathe(signal);
      state = this.network.step(all[place], state);
      if (place < MOST_REMEMBERED) now.states.push(state);
    }
    this.#read = now;
    return state;
  }

  /** Calls look(place, log probabilities) for each id of a text, with the probabilities given all ids before it. */
  async readAll(ids, look, signal) {
    let state = this.zero;
    let before = this.start;
    for (const [place, id] of ids.entries()) {
      await this.breathe(signal);
      state = this.network.step(before, state);
      look(place, this.network.logProbabilities(state));
      before = id;
      if (id === EOS && this.context === "sentence") [state, before] = [this.zero, this.start];
    }
  }

  /** Returns the k ids with the largest scores, largest first, without those that are never generated, but with </s>. */
  best(scores, k) {
    const never = new Set(this.never.filter((id) => id !== EOS));
    return largest(scores, k + never.size).filter((id) => !never.has(id)).slice(0, k);
  }

  // --- ids -> text ------------------------------------------------------------------------------------------------

  spacing(like = "") {
    return spacingOf(this.level, this.tokenizer, like);
  }

  /** Returns the text to append to a line so that an id is its next token. */
  following(line, id, spacing) {
    if (id === EOS) return "\n";
    const token = this.tokens[id];
    if (this.level === "char") return token;
    if (!line || /\s$/u.test(line)) return token;
    const piece = spacing.piece(token);
    const wanted = String([...this.tokenizer.tokens(line), token]);
    return [piece, ` ${token}`, token].find((form) => String(this.tokenizer.tokens(line + form)) === wanted) ?? piece;
  }
}

/** Returns the places of the k largest numbers above -Infinity, largest first. */
export function largest(numbers, k) {
  const found = [];
  numbers.forEach((number, place) => {
    if (number === -Infinity || (found.length === k && number <= numbers[found[k - 1]])) return;
    let at = found.length;
    while (at > 0 && numbers[found[at - 1]] < number) at--;
    found.splice(at, 0, place);
    if (found.length > k) found.pop();
  });
  return found;
}
