// Tokens to text: where a space belongs. See rnnlm/text/tokenizers.py.

const WIDE = /^[\u2e80-\u33ff\u3400-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff9f\uffe0-\uffe6\u{20000}-\u{3ffff}]/u;
const HAN = /[\u4e00-\u9fd5]/;
const EMOJI = /^[\u2600-\u27bf\u{1f000}-\u{1faff}]/u;
const [OPENING, CLOSING, QUOTES] = ["([{“‘«‹„‚¿¡$£€", ".,!?;:)]}%”’»›…", "\"'"].map((marks) => [...marks]);

/** What gives each token of a text that is written with the space before it. like: a line; it is written as that is. */
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

/** None in Chinese or between equal emoji, the usual one in other languages. */
class Usual {
  #last = []; // the last tokens since a space, two at most
  #open = new Set(); // straight quotes
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

  /** Whether a token right after the last ones leaves the reading of all as it is. */
  #readsBack(token) {
    const all = [...this.#last, token];
    const text = all.join("");
    return HAN.test(text) || String(text.match(this.pattern)) === String(all);
  }
}
