// The part that ranks candidates, one a line, by the model.

import { showBars } from "./bars.js";
import { byId } from "./dom.js";
import { Question, borrowText, onControlEnter } from "./page.js";
import { count, figure, words } from "./words.js";

export function rankPart() {
  const field = byId("rank-lines");
  const question = new Question("rank");
  let ranked = null;

  function show(answer) {
    ranked = answer.candidates;
    render();
  }

  function render() {
    if (!ranked) return;
    byId("rank-state").textContent = ranked.length ? words("rank.state", { count: count(ranked.length) }) : words("rank.empty");
    showBars(byId("rank-candidates"), ranked.map(row));
  }

  function reset() {
    question.cancel();
    ranked = null;
    byId("rank-state").textContent = "";
    showBars(byId("rank-candidates"), []);
  }

  byId("rank-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const candidates = field.value.split("\n").filter((line) => line.trim());
    reset();
    if (!candidates.length) return show({ candidates: [] });
    byId("rank-state").textContent = words("working");
    question.ask("/api/rank", { candidates }, show, { failed: reset });
  });
  onControlEnter(field);
  return { show: () => borrowText(field), render, reset };
}

function row({ text, share, logprob_nats: nats, total_nats: total, tokens, oov }) {
  const key = total === nats ? (oov ? "rank.detail.unknown" : "rank.detail") : "rank.detail.total";
  const detail = words(key, { nats: figure(nats, 2), total: figure(total, 2), tokens: count(tokens), oov: count(oov) });
  return { token: text, share, detail };
}
