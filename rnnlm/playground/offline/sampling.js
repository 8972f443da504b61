// Generates text. See rnnlm/inference/generation.py.

import { EOS } from "./model.js";

/** Yields the pieces of text after a prompt as they are drawn: {text, logprob}. */
export async function* written(model, prompt, options, signal) {
  const random = generator(options.seed ?? Math.floor(Math.random() * 2 ** 31));
  const line = prompt.trimEnd().split("\n").at(-1);
  let spacing = model.spacing(line);
  for (const id of model.encode(model.unfinished(prompt))) {
    if (id === EOS) spacing = model.spacing(line);
    else spacing.add(model.tokens[id]);
  }
  let spaced = /\s$/u.test(prompt); // ends with a space, so no other one is needed
  let state = await model.read(model.encode(prompt), signal);
  for (let count = 0; count < options.max_tokens; count++) {
    const scores = model.network.logProbabilities(state);
    const id = draw(scores, options, model.never, random());
    if (id === model.end) return;
    let text = id === EOS ? "\n" : spacing.add(model.tokens[id]);
    if (id === EOS) spacing = model.spacing(line);
    if (spaced && text.length > 1 && text.startsWith(" ")) text = text.slice(1);
    spaced = false;
    yield { text, logprob: scores[id] };
    state = model.network.step(id, state);
    await model.breathe(signal);
  }
}

/** Draws an id from the distribution, changed by temperature, top k and top p. */
function draw(scores, { temperature, top_k: topK = 0, top_p: topP = 1 }, never, chance) {
  const allowed = Float64Array.from(scores);
  for (const id of never) allowed[id] = -Infinity;
  const order = Array.from(allowed.keys()).sort((one, other) => allowed[other] - allowed[one]);
  if (temperature === 0) return order[0];
  const kept = topK ? order.slice(0, topK) : order;
  const most = allowed[kept[0]];
  const weights = kept.map((id) => Math.exp((allowed[id] - most) / temperature));
  let reach = weights.reduce((sum, each) => sum + each);
  if (topP < 1) {
    const wanted = topP * reach;
    let number = 0;
    for (reach = 0; reach < wanted; number++) reach += weights[number];
    weights.length = Math.max(1, number);
  }
  let left = chance * reach;
  const place = weights.findIndex((each) => (left -= each) <= 0);
  return kept[Math.max(0, place)];
}

/** Returns the random number generator mulberry32, with numbers in [0, 1). */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
