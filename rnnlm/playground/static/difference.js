// Compares the surprise of two models at one text: their figures side by side, and the difference along the text.

import { byId, element } from "./dom.js";
import { Question, chosen } from "./page.js";
import { legend, paint } from "./painting.js";
import { second, together } from "./second.js";
import { count, figure, spoken, visible, words } from "./words.js";

const STEPS = [-1, -0.5, 0, 0.5, 1];
const LEAST_TOP = 4; // smallest end of the scale, in bits of difference

export function differenceView() {
  const question = new Question("surprise");
  let answers = null; // of both models

  /** Asks the second model about a text for which the first has answered. */
  function update(text, first) {
    answers = null;
    if (!second.model || !first) {
      question.cancel();
      render();
      return;
    }
    question.ask("/api/surprise", { model: second.model.id, text, k: 1 }, (other) => {
      answers = [first, other];
      render();
    });
  }

  function render() {
    byId("surprise-second").hidden = !answers;
    if (!answers) return;
    const names = [chosen.model.id, second.model?.id ?? ""];
    byId("surprise-second-table").replaceChildren(...table(names, answers));
    const stretches = together(answers[0].tokens, answers[1].tokens);
    const top = stretches.reduce((most, { bits }) => Math.max(most, Math.abs(bits[1] - bits[0]) || 0), LEAST_TOP);
    const look = {
      kind: "activation",
      label: words("second.painting"),
      hint: words("second.hint"),
      legend: legend("activation", STEPS.map(shade), words("second.more", { name: names[1] }), words("second.more", { name: names[0] })),
      borders: false,
    };
    paint(byId("surprise-difference"), stretches.map((each) => painted(each, top)), look, (place) => details(stretches[place], names));
  }

  return { update, render };
}

/** Bits of difference, positive where the first model gave the text a higher probability. */
function gain({ bits: [first, other] }) {
  return other - first || 0;
}

function painted(stretch, top) {
  const name = words("second.token", { token: spoken(stretch.text.trim() || stretch.text || "\n"), bits: signed(gain(stretch)) });
  return { text: stretch.text, name, ...shade(gain(stretch) / top) };
}

function shade(share) {
  return { share: Math.min(1, Math.abs(share)), tone: share < 0 ? "negative" : "positive" };
}

function details({ text, bits }, names) {
  const lines = names.map((name, which) => element("p", {}, words("second.bits", { name, bits: figure(bits[which], 1) })));
  return [element("p", { class: "subject" }, visible(text.trim() || text || "\n")), ...lines];
}

/** Returns a table row for each model, and one for the difference. */
function table(names, answers) {
  const head = ["second.model", "second.perplexity", "second.per.char", "second.total", "second.tokens"].map((key) =>
    element("th", { scope: "col" }, words(key)),
  );
  const totals = answers.map(({ logprob_nats: nats }) => -nats / Math.LN2);
  const rows = answers.map(({ perplexity, bits_per_char: bits, tokens }, which) => [
    names[which],
    figure(perplexity, 1),
    figure(bits, 2),
    figure(totals[which], 1),
    count(tokens.length),
  ]);
  const apart = signed(answers[1].bits_per_char - answers[0].bits_per_char);
  const last = [words("second.difference"), "", apart, signed(totals[1] - totals[0]), ""];
  return [head, ...[...rows, last].map((row) => row.map((each, place) => element(place ? "td" : "th", place ? {} : { scope: "row" }, each)))].map(
    (cells) => element("tr", {}, ...cells),
  );
}

function signed(value) {
  return `${value < 0 ? "−" : "+"}${figure(Math.abs(value), 2)}`;
}
