// What a model remembers: replaces a word of the text, and shows how the surprise at the tokens after it changes.

import { showBars } from "./bars.js";
import { byId, element } from "./dom.js";
import { Question } from "./page.js";
import { legend, paint } from "./painting.js";
import { figure, spoken, visible, words } from "./words.js";

const ALTERNATIVES = 3;
const STEPS = [-1, -0.5, 0, 0.5, 1];
const LEAST_TOP = 2; // smallest end of the scale, in bits of change

/** The form below the text that is painted by surprise. */
export function memoryView() {
  const question = new Question("surprise");
  const input = byId("memory-word");
  let tokens = []; // of the text, with their surprise
  let chosen = -1; // place of the word to replace
  let changed = null; // {place, word, pairs: [[before, after]]}: the tokens after the replaced word

  function update(answered) {
    tokens = answered;
    chosen = -1;
    changed = null;
    question.cancel();
    render();
  }

  /** Chooses a token of the text, and suggests what the model expected instead. */
  function choose(place) {
    if (place === chosen || !tokens[place].text.trim()) return;
    chosen = place;
    changed = null;
    const other = tokens[place].alternatives.find(({ token }) => token !== tokens[place].token && !/^<\/?\w+>$|^\s*$/.test(token));
    input.value = other?.token ?? "";
    render();
    compare();
  }

  function compare() {
    const word = input.value.trim();
    if (chosen < 0 || !word) return;
    const text = (from, to) => tokens.slice(from, to).map((token) => token.text).join("");
    const { text: own } = tokens[chosen];
    const replaced = own.replace(own.trim(), () => word);
    const [place, before] = [chosen, tokens];
    const body = { text: text(0, chosen) + replaced + text(chosen + 1), k: ALTERNATIVES };
    question.ask("/api/surprise", body, (answer) => {
      changed = { place, word, pairs: pairsOf(before.slice(place + 1), answer.tokens) };
      render();
    });
  }

  function render() {
    byId("surprise-memory").hidden = tokens.length < 2;
    byId("memory-form").hidden = chosen < 0;
    byId("memory-hint").hidden = chosen >= 0;
    if (chosen >= 0) byId("memory-label").textContent = words("memory.replace", { word: visible(tokens[chosen].text.trim()) });
    const pairs = changed?.pairs ?? [];
    byId("memory-figures").textContent = changed ? sentence() : "";
    const top = pairs.reduce((most, pair) => Math.max(most, Math.abs(change(pair))), LEAST_TOP);
    const look = {
      kind: "activation",
      label: words("memory.painting"),
      hint: words("memory.hint"),
      legend: legend("activation", STEPS.map(shade), words("memory.more"), words("memory.less")),
      borders: false,
    };
    paint(byId("memory-painting"), pairs.map((pair) => painted(pair, top)), look, (place) => details(pairs[place]));
  }

  function sentence() {
    const { word, place, pairs } = changed;
    const total = pairs.reduce((sum, pair) => sum + change(pair), 0);
    const values = { old: tokens[place].text.trim(), word, bits: signed(total), count: pairs.length };
    return words(pairs.length ? "memory.figures" : "memory.none", values);
  }

  byId("memory-compare").addEventListener("click", compare);
  byId("memory-form").addEventListener("submit", (event) => {
    event.preventDefault();
    compare();
  });
  return { update, choose, render };
}

/** Returns pairs of the tokens after the word, before and after the replacement: the common end of both texts. */
function pairsOf(before, after) {
  const pairs = [];
  for (let back = 1; back <= Math.min(before.length, after.length); back++) {
    if (before.at(-back).token !== after.at(-back).token) break;
    pairs.unshift([before.at(-back), after.at(-back)]);
  }
  return pairs;
}

/** Returns by how many bits a token became more surprising. */
function change([before, after]) {
  return after.bits - before.bits || 0;
}

function painted(pair, top) {
  const { text } = pair[0];
  const name = words("memory.token", { token: spoken(text.trim() || text || "\n"), bits: signed(change(pair)) });
  return { text, name, ...shade(change(pair) / top) };
}

function shade(share) {
  return { share: Math.min(1, Math.abs(share)), tone: share < 0 ? "negative" : "positive" };
}

function details([before, after]) {
  const expected = (key, { bits, alternatives }) => {
    const bars = element("ol", { class: "bars" });
    showBars(bars, alternatives.slice(0, ALTERNATIVES).map((each) => ({ token: visible(each.token), share: each.probability })));
    return element("div", { class: "alternatives" }, element("p", { class: "title" }, words(key, { bits: figure(bits, 1) })), bars);
  };
  const subject = element("p", { class: "subject" }, visible(before.text.trim() || before.text || "\n"));
  return [subject, expected("memory.before", before), expected("memory.after", after)];
}

function signed(value) {
  return `${value < 0 ? "−" : "+"}${figure(Math.abs(value), 2)}`;
}
