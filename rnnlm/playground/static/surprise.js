// The part that colours a text by surprise, and shows the alternatives of each token.

import { showBars } from "./bars.js";
import { curve } from "./curve.js";
import { differenceView } from "./difference.js";
import { byId, element, touches } from "./dom.js";
import { memoryView } from "./memory.js";
import { Question, chosen, onExample, openPart, shareText } from "./page.js";
import { legend, paint } from "./painting.js";
import { count, figure, percent, spoken, visible, words } from "./words.js";

const ALTERNATIVES = 5;
const WAIT = 150; // milliseconds without a change: the whole text is read again
const [LEAST_TOP, STEP, STEPS] = [12, 4, 4]; // of the scale: smallest end and its divisor, in bits; number of parts
const RANKS = [1, 10, 100, 1000, Infinity]; // upper ends of the histogram's ranges

export function surprisePart() {
  const field = byId("surprise-text");
  const question = new Question("surprise");
  const difference = differenceView();
  const memory = memoryView();
  let answer = null;

  function update() {
    if (field.value.trim()) {
      question.ask("/api/surprise", { text: field.value, k: ALTERNATIVES }, show, { after: WAIT });
    } else {
      question.cancel();
      show(null);
    }
  }

  function show(arrived) {
    answer = arrived;
    render();
    memory.update(answer?.tokens ?? []);
    difference.update(field.value, answer?.tokens.length ? answer : null);
  }

  function render() {
    const tokens = answer?.tokens ?? [];
    byId("surprise-more").hidden = !tokens.length;
    byId("surprise-empty").hidden = Boolean(field.value.trim());
    renderFigures(tokens);
    const top = topOf(tokens);
    let marked = () => {};
    const look = {
      kind: "surprise",
      label: words("surprise.painting"),
      hint: words(touches() ? "surprise.hint.touch" : "surprise.hint"),
      legend: scale(top),
      borders: chosen.model.level !== "char",
      looked: (place) => marked(place),
      chosen: memory.choose,
    };
    const painting = paint(byId("surprise-painting"), tokens.map((each) => painted(each, top)), look, (place) =>
      details(tokens[place]),
    );
    if (!tokens.length) return;
    const drawn = curve(tokens.map(({ bits }) => bits), { top, ...curveOf(tokens), ...painting });
    marked = drawn.mark;
    byId("surprise-curve").replaceChildren(drawn.node);
    showBars(byId("surprise-ranks"), histogram(tokens));
  }

  function renderFigures(tokens) {
    byId("surprise-figures").textContent = tokens.length
      ? words(answer.oov ? "surprise.figures.unknown" : "surprise.figures", {
          perplexity: figure(answer.perplexity, 1),
          bits: figure(answer.bits_per_char, 2),
          count: count(tokens.length),
          oov: count(answer.oov),
        })
      : "";
    const nats = answer?.logprob_nats;
    byId("surprise-score").textContent = tokens.length
      ? words(answer.oov ? "surprise.score.unknown" : "surprise.score", {
          nats: figure(nats, 2),
          log10: figure(nats / Math.LN10, 2),
          bits: figure(nats / Math.LN2, 2),
          each: figure(-nats / Math.LN2 / tokens.length, 2),
          known: figure(answer.perplexity_excluding_oov, 1),
        })
      : "";
  }

  shareText(field, update);
  byId("surprise-write").addEventListener("click", () => openPart("sample"));
  onExample(byId("surprise-example"), "surprise", update);
  return {
    show: update,
    render() {
      render();
      difference.render();
      memory.render();
    },
  };
}

/** Returns the end of the scale in bits, beyond all values of the text. */
function topOf(tokens) {
  const most = tokens.reduce((largest, { bits }) => Math.max(largest, bits ?? 0), LEAST_TOP);
  return STEP * Math.ceil(most / STEP);
}

function scale(top) {
  const steps = Array.from({ length: STEPS + 1 }, (_, step) => ({
    share: step / STEPS,
    figure: figure((top * step) / STEPS, 0),
  }));
  return legend("surprise", steps, words("surprise.scale"), "");
}

function curveOf(tokens) {
  const mean = tokens.reduce((sum, { bits }) => sum + bits, 0) / tokens.length;
  const worst = tokens.reduce((most, each) => (each.bits > most.bits ? each : most));
  const values = { mean: figure(mean, 1), most: figure(worst.bits, 1), token: spoken(worst.text.trim() || worst.text || "\n") };
  return { mean, name: words("surprise.curve.name", values) };
}

/** Counts the tokens with rank 1, 2 to 10, and so on. */
function histogram(tokens) {
  return RANKS.map((last, place) => {
    const first = place ? RANKS[place - 1] + 1 : 1;
    const number = tokens.filter(({ rank }) => rank >= first && rank <= last).length;
    const range = { first: count(first), last: Number.isFinite(last) ? count(last) : "" };
    const token = words(last === 1 ? "surprise.ranks.first" : range.last ? "surprise.ranks.between" : "surprise.ranks.rest", range);
    return { token, share: number / tokens.length, number: count(number) };
  });
}

function painted({ text, bits, rank, unknown }, top) {
  const name = words("surprise.token", { token: spoken(text || "\n"), bits: figure(bits, 1), rank: count(rank) });
  return { text, unknown, share: (bits ?? top) / top, name };
}

function details({ text, token, probability, bits, rank, unknown, alternatives }) {
  const bars = element("ol", { class: "bars" });
  showBars(bars, alternatives.map((each) => ({ token: visible(each.token), share: each.probability, isIt: each.token === token })));
  const facts = element(
    "div",
    {},
    element("p", { class: "subject" }, visible(text.trim() || text || "\n")),
    ...(unknown ? [element("p", {}, words("surprise.unknown"))] : []),
    element("p", {}, words("surprise.bits", { bits: figure(bits, 1) })),
    element("p", {}, words("surprise.rank", { rank: count(rank), probability: percent(probability) })),
  );
  const title = element("p", { class: "title" }, words("surprise.alternatives"));
  return [facts, element("div", { class: "alternatives" }, title, bars)];
}
