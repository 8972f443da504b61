// Joins tokens to text with spaces where they belong. See rnnlm/text/tokenizers.py.

const WIDE = /^[\u2e80-\u33ff\u3400-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff9f\uffe0-\uffe6\u{20000}-\u{3ffff}]/u;
const HAN = /[\u4e00-\u9fd5]/;
const EMOJI = /^[\u2600-\u27bf\u{1f000}-\u{1faff}]/u;
const [OPENING, CLOSING, QUOTES] = ["([{“‘«‹„‚¿¡$£€", ".,!?;:)]}%”’»›…", "\"'"].map((marks) => [...marks]);

/** Returns a joiner that gives each token with the space before it, if one belongs there. like: a line to imitate. */
export function spacingOf(level, tokenizer, like) {
  if (level === "char") return new Between("");
  return tokenizer.separated(like) ? new Between(" ") : new Usual(tokenizer.pattern);
}

class Between {
  #begun = false;

  constructor(separator) {
    this.separator = separator;
  }

  piece(token) {
    return this.#begun ? this.separator + token : token;
  }

  add(token) {
    const piece = this.piece(token);
    this.#begun = true;
    return piece;
  }
}

/** A joiner without spaces in Chinese or between equal emoji, and with the usual ones in other languages. */
class Usual {
  #last = []; // the last tokens since a space, two at most
  #open = new Set(); // straight quotes that are open
  #holds = false;
  #wide = false;

  constructor(pattern) {
    this.pattern = pattern;
  }

  piece(token) {
    return !this.#last.length || this.#glued(token) ? token : ` ${token}`;
  }

  add(token) {
    const glued = this.#glued(token);
    const piece = this.piece(token);
    const [closes, straight, end] = [this.#closes(token), QUOTES.includes(token), [...token].at(-1) ?? ""];
    this.#last = glued ? [...this.#last.slice(-1), token] : [token];
    if (straight && !this.#open.delete(token)) this.#open.add(token);
    this.#holds = OPENING.includes(end) || (straight && !closes);
    this.#wide = WIDE.test(end) || (this.#wide && !/^[\p{L}\p{N}]/u.test(token));
    return piece;
  }

  #closes(token) {
    if (QUOTES.includes(token)) return this.#open.has(token);
    return CLOSING.includes(token) || token.startsWith("..") || token.startsWith("……");
  }

  #glued(token) {
    const touches = this.#holds || this.#closes(token) || this.#wide || WIDE.test(token);
    const repeated = this.#last.at(-1) === token && EMOJI.test(token);
    return (touches || repeated) && this.#readsBack(token);
  }

  /** Returns whether the last tokens and this one, written without a space, are cut into the same tokens again. */
  #readsBack(token) {
    const all = [...this.#last, token];
    const text = all.join("");
    return HAN.test(text) || String(text.match(this.pattern)) === String(all);
  }
}
