// Continuations of a text: the next token, several tokens ahead, and the end of a half typed word. See
// rnnlm/completion.py.

import { EOS, UNK, largest } from "./model.js";

const MOST_TOKENS = 4; // tokens at the end of a text that may together be the beginning of one token
const WIDTH = 8; // of the beam

/** Returns the ways to read the end of a text, [{length, typed}]: after `length` ids, a token begins with `typed`. */
function waysOf(model, text, count) {
  const whole = { length: count, typed: "" };
  const line = text.slice(text.lastIndexOf("\n") + 1);
  const tokens = model.tokenizer.tokens(line);
  const ways = [whole];
  let start = line.length;
  for (let back = 1; back <= Math.min(MOST_TOKENS, tokens.length); back++) {
    const token = tokens.at(-back);
    if (line.slice(start - token.length, start) !== token) break; // there is white space between them
    start -= token.length;
    const typed = line.slice(start);
    if (begun(model, typed).length) ways.push({ length: count - back, typed });
  }
  return ways;
}

/** Returns the ids of the tokens that begin with what was typed and are longer. */
function begun(model, typed) {
  const found = [];
  for (const [token, id] of model.ids) if (token.length > typed.length && token.startsWith(typed)) found.push(id);
  return found;
}

/** Returns whether the end of a text may be the beginning of a longer word. */
export function isHalfTyped(model, text) {
  return model.level !== "char" && waysOf(model, text, 0).length > 1;
}

/** Returns each way of reading the text, with its state and the log probabilities of the next id given what was typed. */
async function startsOf(model, text, ids, complete, signal) {
  const ways = complete ? waysOf(model, text, ids.length) : [{ length: ids.length, typed: "" }];
  let soFar = 0;
  let total = 0;
  const starts = [];
  for (let length = Math.min(...ways.map((way) => way.length)); length <= ids.length; length++) {
    const state = await model.read(ids.slice(0, length), signal);
    const row = model.network.logProbabilities(state);
    for (const way of ways.filter((each) => each.length === length)) {
      const scores = way.typed ? new Float64Array(row.length).fill(-Infinity) : row;
      if (way.typed) for (const id of begun(model, way.typed)) scores[id] = row[id];
      const shares = way.typed ? scores.reduce((sum, each) => sum + Math.exp(each), 0) : 1;
      total += Math.exp(soFar) * shares;
      starts.push({ ...way, state, scores, before: soFar });
    }
    if (length < ids.length) soFar += row[ids[length]] + (ids[length] === UNK ? model.unknown_word_penalty : 0);
  }
  return starts.map((start) => ({ ...start, before: start.before - Math.log(total) }));
}

/** Returns the k most probable continuations of `ahead` tokens: [{token, tokens, probability, text, typed}]. */
export async function continuations(model, text, { k, complete, ahead = 1 }, signal) {
  const ids = model.encode(text);
  const starts = await startsOf(model, text, ids, complete && model.level !== "char", signal);
  let beams = starts.map((start) => ({ ...start, ids: [], score: start.before }));
  let done = [];
  for (let step = 1; step <= ahead; step++) {
    const grown = [];
    for (const beam of beams) {
      for (const id of model.never) if (id !== model.end) beam.scores[id] = -Infinity;
      for (const id of largest(beam.scores, step === ahead ? k : 2 * WIDTH)) {
        grown.push({ ...beam, ids: [...beam.ids, id], score: beam.score + beam.scores[id] });
      }
    }
    grown.sort((one, other) => other.score - one.score);
    done.push(...grown.filter((beam) => beam.ids.at(-1) === model.end || step === ahead));
    beams = grown.filter((beam) => beam.ids.at(-1) !== model.end).slice(0, WIDTH);
    if (step === ahead) break;
    for (const beam of beams) {
      await model.breathe(signal);
      beam.state = model.network.step(beam.ids.at(-1), beam.state);
      beam.scores = model.network.logProbabilities(beam.state);
    }
  }
  done = done.sort((one, other) => other.score - one.score).slice(0, k);
  return done.map((beam) => written(model, text, ids, beam));
}

function written(model, text, ids, { ids: added, score, typed, length }) {
  const line = text.slice(text.lastIndexOf("\n") + 1);
  const tokens = added.map((id) => model.tokens[id]);
  const read = model.tokenizer.tokens(line);
  const spacing = model.spacing(line.trimEnd());
  for (const token of read.slice(0, read.length + length - ids.length)) spacing.add(token);
  let more = typed ? tokens[0].slice(typed.length) : model.following(line, added[0], spacing);
  if (added[0] !== EOS) spacing.add(tokens[0]);
  for (const [place, id] of added.entries()) if (place) more += id === EOS ? "\n" : spacing.add(tokens[place]);
  return { token: tokens[0], tokens, probability: Math.exp(score), text: more, typed };
}
