// Cuts text into tokens as rnnlm/text/tokenizers.py does, except for Chinese without spaces: there is no jieba here, so
// it is cut into the words that are most probable together by their counts in the model's training text. A character
// that is not a word counts as one that occurred once.

const HAN = /[\u4e00-\u9fd5]/;
const WORD = String.raw`[\p{L}\p{N}\p{M}_\u200c\u200d]+`;
const RUNS = String.raw`\.+|…+|。+|．+|-+|–+|—+|―+`;
const HYPHENS = "['’‐‑\\-]";
const MODIFIERS = String.raw`[\u0300-\u036f\u20d0-\u20ff\ufe00-\ufe0f\u{1f3fb}-\u{1f3ff}\u{e0020}-\u{e007f}]*`;
const NO_WORD = String.raw`[^\s\p{L}\p{N}_]`;
const SYMBOL = String.raw`[\u{1f1e6}-\u{1f1ff}]{2}|${NO_WORD}${MODIFIERS}(?:\u200d${NO_WORD}${MODIFIERS})*\u200d*`;
const KEYCAP = String.raw`[0-9#*]\ufe0f?\u20e3`;
const digits = (between) => String.raw`(?<=\p{Nd})[${between}](?=\p{Nd})`;
/** The patterns of tokens, by the number of the rules: see rnnlm/text/word_rules.py. */
const PATTERNS = {
  1: String.raw`${WORD}(?:(?:${HYPHENS}|${digits(".,")})${WORD})*|${RUNS}|\S[\u0300-\u036f\u200d\u20d0-\u20ff\ufe00-\ufe0f]*`,
  2: String.raw`${KEYCAP}|${WORD}(?:(?:${HYPHENS}|${digits(".,:")})${WORD})*(?:(?<=[A-Za-z0-9_])[(\[])?|${RUNS}|${SYMBOL}`,
};
const BLOCK = /[\u4e00-\u9fd5]+/g;
const [LONGEST_MEAN, LONGEST_WORD] = [2.5, 8]; // most characters of Chinese words in a separated line

/** Returns a tokenizer: {tokens(text), separated(line)}. described: {name, segmenter, rules}; counts: of the words. */
export function tokenizerOf({ name, segmenter, rules }, counts) {
  if (name === "char") return { tokens: (text) => [...text], separated: () => false };
  if (name === "token") return { tokens: betweenSpaces, separated: () => true };
  const pattern = new RegExp(PATTERNS[rules], "gu");
  const whole = new RegExp(`^(?:${PATTERNS[rules]})$`, "u");
  const cut = cutter(counts);
  const isCut = (line) => segmenter !== "spaces" && HAN.test(line) && (segmenter === "jieba" || !isSeparated(line, whole));
  return {
    tokens(line) {
      const words = line.match(pattern) ?? [];
      return isCut(line) ? words.flatMap((word) => (HAN.test(word) ? cutIn(word, cut) : [word])) : words;
    },
    separated: (line) => isSeparated(line, whole),
    pattern,
  };
}

function betweenSpaces(line) {
  const tokens = line.match(/[^ \t\n\r\v\f]+/g) ?? [];
  return tokens.slice(tokens[0] === "<s>" ? 1 : 0, tokens.at(-1) === "</s>" ? -1 : undefined);
}

/** Returns whether the Chinese words of a line are separated by spaces already. */
function isSeparated(line, whole) {
  const chunks = line.split(/\s+/u).filter(Boolean);
  const words = chunks.filter((chunk) => HAN.test(chunk));
  if (chunks.length < 2 || !words.length) return false;
  const lengths = words.map((word) => [...word].length);
  const sum = lengths.reduce((one, other) => one + other);
  return Math.max(...lengths) <= LONGEST_WORD && sum <= LONGEST_MEAN * words.length && words.every((word) => whole.test(word));
}

/** Cuts the Chinese in a token into words; the parts around the Chinese stay whole. */
function cutIn(token, cut) {
  const words = [];
  let end = 0;
  for (const { 0: block, index } of token.matchAll(BLOCK)) {
    if (index > end) words.push(token.slice(end, index));
    words.push(...cut(block));
    end = index + block.length;
  }
  return end < token.length ? [...words, token.slice(end)] : words;
}

/** Returns a function that cuts a run of Chinese into the words with the largest product of count(w) / (all counts). */
function cutter(counts) {
  let total = 1;
  let longest = 1;
  for (const [word, count] of counts) {
    if (!HAN.test(word)) continue;
    total += count;
    longest = Math.max(longest, word.length);
  }
  return (block) => {
    const best = [{ score: 0, start: 0 }]; // best cut of the text before each place
    for (let end = 1; end <= block.length; end++) {
      for (let start = Math.max(0, end - longest); start < end; start++) {
        const count = counts.get(block.slice(start, end)) ?? (end - start === 1 ? 1 : 0);
        if (!count) continue;
        const score = best[start].score + Math.log(count / total);
        if (!(best[end]?.score >= score)) best[end] = { score, start };
      }
    }
    const words = [];
    for (let end = block.length; end > 0; end = best[end].start) words.unshift(block.slice(best[end].start, end));
    return words;
  };
}

/** Returns [start, end] of each token in a line. */
export function placesOf(line, tokens) {
  let end = 0;
  return tokens.map((token) => {
    const start = line.indexOf(token, end);
    end = start + token.length;
    return [start, end];
  });
}
