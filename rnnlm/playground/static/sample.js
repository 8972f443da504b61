// The part in which the model continues a text, one or several at once, until it is done or stopped.

import { byId } from "./dom.js";
import { Question, chosen, onControlEnter, openPart, setSharedText, shareText } from "./page.js";
import { stream } from "./server.js";
import { count, figure, words } from "./words.js";
import { WrittenText } from "./written.js";

const SLIDERS = {
  temperature: (value) => figure(value, 2),
  "top-k": (value) => (value === 0 ? words("sample.all") : count(value)),
  "top-p": (value) => (value === 1 ? words("sample.all") : figure(value, 2)),
  length: count,
};
const SEEDS = 2 ** 31;
const NARROW = "(max-width: 40rem)"; // screens on which the settings are folded, so that button and text are visible

export function samplePart() {
  const prompt = byId("sample-prompt");
  const [start, stop] = [byId("sample-start"), byId("sample-stop")];
  const question = new Question("sample");
  let texts = []; // the texts of the last request
  let state = null; // the message beside the buttons

  async function write() {
    const [given, number, seed] = [prompt.value, valueOf("sample-count") || 1, seedOf()];
    texts = Array.from({ length: number }, () => new WrittenText(given, { goOn, take }));
    texts[0].name("sample-given", "sample-written");
    byId("sample-texts").replaceChildren(...texts.map(({ node }) => node));
    byId("sample-output").hidden = false;
    byId("sample-seed-used").textContent = words("sample.seed.used", { seed });
    byId("sample-output").scrollIntoView({ block: "nearest" });
    setWriting(true);
    say("sample.writing");
    await question.run((signal) => read(given, number, seed, signal), () => finish("sample.done"), { failed: () => finish(null) });
  }

  /** Returns the given seed, or draws one and shows it, so that the text can be reproduced. */
  function seedOf() {
    const given = valueOf("sample-seed");
    return Number.isInteger(given) && given >= 0 && given < SEEDS ? given : Math.floor(Math.random() * SEEDS);
  }

  async function read(given, n, seed, signal) {
    const options = { temperature: valueOf("temperature"), top_k: valueOf("top-k"), top_p: valueOf("top-p") };
    const body = { model: chosen.model.id, prompt: given, max_tokens: valueOf("length"), ...options, n, seed, logprobs: 0 };
    for await (const { choices } of stream("/v1/completions", body, signal)) {
      for (const choice of choices ?? []) texts[choice.index].add(choice);
    }
    return true;
  }

  function goOn(text) {
    setSharedText(text);
    if (!start.disabled) write();
  }

  function take(text) {
    setSharedText(text);
    openPart("surprise");
  }

  function finish(key) {
    start.dataset.word = "sample.again";
    setWriting(false);
    say(key);
  }

  function setWriting(isWriting) {
    const focused = document.activeElement;
    start.disabled = isWriting;
    stop.disabled = !isWriting;
    if (isWriting && focused === start) stop.focus();
    if (!isWriting && focused === stop) start.focus();
    for (const text of texts) text.writing(isWriting);
  }

  function say(key) {
    state = key;
    render();
  }

  function render() {
    start.textContent = words(start.dataset.word);
    const written = texts.reduce((sum, { written: { textContent } }) => sum + [...textContent].length, 0);
    byId("sample-state").textContent = state ? words(state, { count: count(written) }) : "";
    byId("sample-output").classList.toggle("coloured", byId("sample-colour").checked);
    for (const text of texts) text.render();
    for (const [name, format] of Object.entries(SLIDERS)) {
      byId(name).previousElementSibling.textContent = format(valueOf(name));
      byId(name).setAttribute("aria-valuetext", format(valueOf(name)));
    }
  }

  function halt() {
    if (stop.disabled) return;
    question.cancel();
    finish("sample.stopped");
  }

  byId("sample-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!start.disabled) write();
  });
  byId("sample-form").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.isComposing) halt();
  });
  stop.addEventListener("click", halt);
  for (const name of [...Object.keys(SLIDERS), "sample-colour"]) byId(name).addEventListener("input", render);
  byId("sample-settings").open = !matchMedia(NARROW).matches;
  onControlEnter(prompt);
  shareText(prompt, () => {});
  return { show: render, render, leave: halt, reset: halt };
}

function valueOf(name) {
  return byId(name).valueAsNumber;
}
