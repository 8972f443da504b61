// The text coloured by surprise, with the alternatives of each token.

import { showBars } from "./bars.js";
import { byId, element } from "./dom.js";
import { Question, onExample, shareText } from "./page.js";
import { legend, paint } from "./painting.js";
import { count, figure, percent, spoken, visible, words } from "./words.js";

const ALTERNATIVES = 5;
const WAIT = 150; // milliseconds: the whole text is read again, so not after every key of a quick hand
const DEEPEST = 12; // bits; what surprises more is painted the same

export function surprisePart() {
  const field = byId("surprise-text");
  const question = new Question("surprise");
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
  }

  function render() {
    const tokens = answer?.tokens ?? [];
    byId("surprise-figures").textContent = tokens.length
      ? words(answer.oov ? "surprise.figures.unknown" : "surprise.figures", {
          perplexity: figure(answer.perplexity, 1),
          bits: figure(answer.bits_per_char, 2),
          count: count(tokens.length),
          oov: count(answer.oov),
        })
      : "";
    const look = {
      kind: "surprise",
      label: words("surprise.painting"),
      hint: words("surprise.hint"),
      legend: legend("surprise", [0.1, 0.3, 0.5, 0.75, 1].map((share) => ({ share })), words("surprise.least"), words("surprise.most")),
    };
    paint(byId("surprise-painting"), tokens.map(painted), look, (place) => details(tokens[place]));
  }

  shareText(field, update);
  onExample(byId("surprise-example"), "surprise", update);
  return { show: update, render };
}

function painted({ text, bits, rank, unknown }) {
  const name = words("surprise.token", { token: spoken(text || "\n"), bits: figure(bits, 1), rank: count(rank) });
  return { text, unknown, share: Math.min(1, bits / DEEPEST), name };
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
