// The model writes on, word by word, until it is done or stopped.

import { byId } from "./dom.js";
import { Question, chosen, onControlEnter } from "./page.js";
import { stream } from "./server.js";
import { count, figure, words } from "./words.js";

const SLIDERS = {
  temperature: (value) => figure(value, 2),
  "top-k": (value) => (value === 0 ? words("sample.all") : count(value)),
  "top-p": (value) => (value === 1 ? words("sample.all") : figure(value, 2)),
  length: count,
};

export function samplePart() {
  const prompt = byId("sample-prompt");
  const [start, stop] = [byId("sample-start"), byId("sample-stop")];
  const question = new Question("sample");
  let state = null; // {key, count}: what is said beside the buttons

  async function write() {
    const given = prompt.value;
    byId("sample-output").hidden = false;
    byId("sample-given").textContent = given;
    byId("sample-written").textContent = "";
    byId("sample-output").scrollIntoView({ block: "nearest" });
    setWriting(true);
    say("sample.writing");
    await question.run((signal) => read(given, signal), () => finish("sample.done"), { failed: () => finish(null) });
  }

  async function read(given, signal) {
    const options = { temperature: valueOf("temperature"), top_k: valueOf("top-k"), top_p: valueOf("top-p") };
    const body = { model: chosen.model.id, prompt: given, max_tokens: valueOf("length"), ...options };
    for await (const { choices } of stream("/v1/completions", body, signal)) {
      if (choices?.length) byId("sample-written").append(choices[0].text);
    }
    return true;
  }

  function finish(key) {
    byId("sample-written").normalize();
    setWriting(false);
    say(key);
  }

  function setWriting(isWriting) {
    const focused = document.activeElement;
    start.disabled = isWriting;
    stop.disabled = !isWriting;
    if (isWriting && focused === start) stop.focus();
    if (!isWriting && focused === stop) start.focus();
  }

  function say(key) {
    state = key;
    render();
  }

  function render() {
    const written = count([...byId("sample-written").textContent].length);
    byId("sample-state").textContent = state ? words(state, { count: written }) : "";
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
  for (const name of Object.keys(SLIDERS)) byId(name).addEventListener("input", render);
  onControlEnter(prompt);
  return { show: render, render, leave: halt, reset: halt };
}

function valueOf(name) {
  return byId(name).valueAsNumber;
}
