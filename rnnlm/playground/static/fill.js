// The part that fills the blanks of a sentence.

import { showBars } from "./bars.js";
import { byId, element } from "./dom.js";
import { Question, borrowText, chosen, onControlEnter } from "./page.js";
import { count, words } from "./words.js";

const FILLINGS = 10;
const BLANK = /_{4,}|(?<![A-Za-z0-9_])_{2,3}(?![A-Za-z0-9_])|\uff3f+/; // BLANK_MARK of rnnlm/blanks.py

export function fillPart() {
  const field = byId("fill-text");
  const question = new Question("fill");
  let answer = null;

  function show(arrived) {
    answer = arrived;
    render();
  }

  function render() {
    byId("fill-unit").textContent = words(`fill.most.${chosen.model.level}`);
    if (!answer) return;
    const { text, candidates } = answer;
    byId("fill-state").textContent = BLANK.test(text) ? words("fill.state", { count: count(candidates.length) }) : words("fill.empty");
    showBars(byId("fill-candidates"), candidates.map((each) => ({ token: sentence(text, each.tokens), share: each.probability })));
  }

  function reset() {
    question.cancel();
    answer = null;
    byId("fill-state").textContent = "";
    showBars(byId("fill-candidates"), []);
  }

  byId("fill-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim().replaceAll("\n", " ");
    reset();
    if (!BLANK.test(text)) return show({ text, candidates: [] });
    byId("fill-state").textContent = words("working");
    const most = byId("fill-tokens").valueAsNumber || 1;
    question.ask("/api/fill", { text, k: FILLINGS, blank_tokens: most }, show, { failed: reset });
  });
  byId("fill-blank").addEventListener("click", () => {
    field.setRangeText("____", field.selectionStart, field.selectionEnd, "end");
    field.focus();
  });
  onControlEnter(field);
  return {
    show() {
      borrowText(field);
      render();
    },
    render,
    reset,
  };
}

/** Returns the sentence with its blanks filled and the fillings marked. */
function sentence(text, tokens) {
  const parts = text.split(BLANK);
  return parts.flatMap((part, place) => (place < tokens.length ? [part, element("mark", {}, tokens[place])] : [part]));
}
