// The part that shows the most probable next tokens while the user types.

import { scaled, showBars } from "./bars.js";
import { byId, element, touches } from "./dom.js";
import { Question, chosen, shareText } from "./page.js";
import { second } from "./second.js";
import { percent, spoken, visible, words } from "./words.js";

const CANDIDATES = 10;
const KEYS = ["F2", "F4", "F8"]; // one for each continuation; browsers do not use them
const AHEAD = { char: 8, word: 4, token: 4 }; // tokens of a continuation, by the level of the model
const LOOK_AHEAD_AFTER = 300; // milliseconds without a key, since it is more work than the next token
const SPEAK_AFTER = 1000; // milliseconds without a key, so that a screen reader is not flooded

export function typePart() {
  const field = byId("type-text");
  const list = byId("type-candidates");
  const question = new Question("type");
  const further = new Question("type");
  const beside = new Question("type"); // of the second model
  let other = null; // answer of the second model
  let answer = null; // answer for the text before the caret; null while waiting for it
  let continued = []; // continuations of several tokens
  let asked = null;
  let takeFirst = false; // Tab was pressed before the answer came
  let released = false; // Escape was pressed, so Tab leaves the field
  let composing = false;
  let speaking = 0;

  const before = () => field.value.slice(0, field.selectionStart);

  function update() {
    asked = before();
    answer = null;
    takeFirst = false;
    list.setAttribute("aria-busy", "true");
    question.ask("/api/predict", { text: asked, k: CANDIDATES, complete: true }, show, { failed });
    if (second.model) {
      beside.ask("/api/predict", { model: second.model.id, text: asked, k: CANDIDATES, complete: true }, showOther);
    } else {
      beside.cancel();
      showOther(null);
    }
    showFurther({ candidates: [] });
    const { level } = chosen.model;
    const body = { text: asked, k: KEYS.length, ahead: AHEAD[level], complete: level !== "char" };
    further.ask("/api/predict", body, showFurther, { after: LOOK_AHEAD_AFTER });
  }

  function showOther(arrived) {
    other = arrived;
    byId("type-both").classList.toggle("two", Boolean(other));
    byId("type-second").hidden = byId("type-names").hidden = !other;
    byId("type-names").replaceChildren(...(other ? [chosen.model, second.model] : []).map((model) => element("span", {}, model?.id ?? "")));
    const rows = scaled((other?.candidates ?? []).map((each) => row(each, -1)));
    showBars(byId("type-second"), rows, (place) => insert(field, other.candidates[place].text));
  }

  function showFurther({ candidates }) {
    continued = candidates;
    byId("type-ahead-title").hidden = !candidates.length;
    showBars(byId("type-ahead"), scaled(candidates.map(continuation)), takeContinuation);
  }

  function continuation({ typed, text, probability }, place) {
    const shown = `${typed}${text}`.trim().replaceAll("\n", "↵");
    const key = element("kbd", { "aria-hidden": "true" }, KEYS[place]);
    return { token: [shown || visible(text), key], share: probability, name: shown || spoken(text) };
  }

  function takeContinuation(place) {
    if (continued[place]) insert(field, continued[place].text);
  }

  function show(arrived) {
    answer = arrived;
    render();
    if (takeFirst) take(0);
  }

  function failed() {
    takeFirst = false;
    answer = { candidates: [], unknown: [] };
    render();
  }

  function render() {
    if (!answer) return;
    list.removeAttribute("aria-busy");
    byId("type-hint").textContent = words(touches() ? "type.hint.touch" : "type.hint");
    showBars(list, scaled(answer.candidates.map(row)), take);
    const unknown = answer.unknown.map(visible).join(words("list.comma"));
    byId("type-unknown").textContent = unknown && words("type.unknown", { list: unknown });
    clearTimeout(speaking);
    speaking = setTimeout(speak, SPEAK_AFTER, answer.candidates.slice(0, 3));
  }

  function row({ token, probability, text }, place) {
    const shown = text === "\n" ? "\n" : token; // show a line end as such, whatever the token is called
    const key = place === 0 ? [element("kbd", { "aria-hidden": "true" }, "Tab")] : [];
    return { token: [visible(shown), ...key], share: probability, name: spoken(shown) };
  }

  function speak(best) {
    if (!best.length) return;
    const heard = best.map(({ token, probability, text }) => `${spoken(text === "\n" ? text : token)} ${percent(probability)}`);
    byId("type-spoken").textContent = words("type.spoken", { list: heard.join(words("list.comma")) });
  }

  function take(place) {
    if (!answer || !answer.candidates[place]) return;
    insert(field, answer.candidates[place].text);
  }

  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Escape") released = true;
    if (KEYS.includes(event.key) && continued[KEYS.indexOf(event.key)]) {
      event.preventDefault();
      takeContinuation(KEYS.indexOf(event.key));
    }
    if (event.key !== "Tab" || event.shiftKey || event.ctrlKey || event.altKey || event.metaKey || released) return;
    if (answer && !answer.candidates.length) return; // nothing to insert: Tab has its usual effect
    event.preventDefault();
    if (answer) take(0);
    else takeFirst = true;
  });
  field.addEventListener("blur", () => (released = false));
  field.addEventListener("compositionstart", () => (composing = true));
  field.addEventListener("compositionend", () => (composing = false));
  document.addEventListener("selectionchange", () => {
    if (document.activeElement === field && !composing && asked !== null && before() !== asked) update();
  });
  shareText(field, () => {
    released = false;
    if (before() !== asked || !answer) update();
  });
  return { show: update, render };
}

/** Inserts a text at the caret as if it were typed, so that it can be undone. */
function insert(field, text) {
  if (document.activeElement === field && document.execCommand("insertText", false, text)) return;
  field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}
