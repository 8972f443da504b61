// Replaces server.js in the page that is a file: the same requests, answered by the model in the file.

import { byId } from "./dom.js";
import { continuations, isHalfTyped } from "./continuations.js";
import { Model, UNK } from "./model.js";
import { written } from "./sampling.js";
import { ServerError } from "./server_error.js";

const described = JSON.parse(byId("model-description").textContent);
let model = null;

/** Returns the model, which is unpacked on first use. */
function loaded() {
  model ??= new Model(described.model, byId("model-weights").textContent);
  return model;
}

/** Does nothing: the page that is a file has no key. */
export function useKey() {}

const ANSWERS = {
  "/healthz": () => ({ status: "ok" }),
  "/v1/models": () => ({ data: [described.listed] }),
  "/api/predict": predict,
  "/api/surprise": surprise,
  "/v1/completions": complete,
};

/** Returns the answer to a request, as server.js does. */
export async function ask(path, body, signal) {
  if (!(path in ANSWERS)) throw new ServerError("server", { code: "no_path" });
  return ANSWERS[path](body, signal);
}

/** Yields the events of a streamed answer. */
export async function* stream(path, { prompt, logprobs, n = 1, seed, ...options }, signal) {
  for (let index = 0; index < n; index++) {
    const own = seed === undefined ? undefined : seed + index;
    for await (const { text, logprob } of written(loaded(), prompt, { ...options, seed: own }, signal)) {
      const told = logprobs === undefined ? null : { tokens: [text], token_logprobs: [logprob] };
      yield { choices: [{ index, text, logprobs: told }] };
    }
  }
}

async function complete(body, signal) {
  let text = "";
  for await (const { choices } of stream("", body, signal)) text += choices[0].text;
  return { choices: [{ text }] };
}

async function predict({ text, k, complete: mayComplete = false, ahead = 1 }, signal) {
  const read = loaded().unfinished(text);
  const candidates = await continuations(model, read, { k, complete: mayComplete, ahead }, signal);
  const unknown = model.unknown(read);
  const last = model.tokenizer.tokens(read.slice(read.lastIndexOf("\n") + 1)).at(-1);
  if (mayComplete && unknown.length && unknown.at(-1) === last && isHalfTyped(model, read)) unknown.pop();
  return { context: text, unknown, candidates };
}

/** Computes the surprise at every token of a text; the figures are those of `rnnlm score` and `rnnlm eval`. */
async function surprise({ text, k }, signal) {
  const pieces = loaded().cut(text);
  const tokens = [];
  await model.readAll(
    pieces.map((piece) => piece.id),
    (place, row) => tokens.push(token(pieces[place], row, k)),
    signal,
  );
  const sum = (values) => values.reduce((total, each) => total + each, 0);
  const nats = -sum(tokens.map((each) => each.logprob));
  const known = tokens.filter((each) => !each.unknown);
  const characters = counted(text);
  return {
    tokens,
    oov: tokens.length - known.length,
    logprob_nats: -nats,
    nats_per_token: tokens.length ? nats / tokens.length : null,
    perplexity: tokens.length ? Math.exp(nats / tokens.length) : null,
    perplexity_excluding_oov: known.length ? Math.exp(-sum(known.map((each) => each.logprob)) / known.length) : null,
    bits_per_char: tokens.length ? nats / Math.LN2 / characters : null,
  };
}

function token({ text, token: name, id }, row, k) {
  const candidate = (each) => ({ token: model.tokens[each], probability: Math.exp(row[each]) });
  return {
    text,
    token: name,
    logprob: row[id],
    probability: Math.exp(row[id]),
    bits: -row[id] / Math.LN2,
    rank: 1 + row.reduce((larger, each) => larger + (each > row[id]), 0),
    unknown: id === UNK,
    alternatives: model.best(row, k).map(candidate),
  };
}

/** Counts characters for bits per character: lines with their ends, without blank ones; runs of spaces count as one. */
function counted(text) {
  const lines = text.replace(/\n$/, "").split("\n");
  const ends = model.reads_lines || model.ids.has("\n") ? 1 : 0;
  if (!model.reads_lines) return lines.reduce((sum, line) => sum + [...line].length + ends, 0);
  const spaced = (line) => (model.level === "char" ? line : line.trim().replace(/\s+/gu, " "));
  const read = (line) => (model.level === "token" ? spaced(line).replace(/^<s>\s*|\s*<\/s>$/g, "") : spaced(line));
  return lines.filter((line) => line.trim()).reduce((sum, line) => sum + [...read(line)].length + ends, 0);
}
