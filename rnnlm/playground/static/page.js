// What the parts of the page share: the model that was chosen, the text, and the place where trouble is told.

import { byId } from "./dom.js";
import { Latest, ServerError, ask, useKey } from "./server.js";
import { words } from "./words.js";

const LOOK_AGAIN = 1500; // milliseconds

/** The model's entry in the list of /v1/models. */
export const chosen = { model: null };

const trouble = { error: null, key: "" };
let goOn = () => {};

/** What to do when the server is back. */
export function whenBack(action) {
  goOn = action;
}

/** Shows a sentence about an error; null takes it away. Where the server is gone, waits until it is back. */
export function report(error) {
  const wasGone = trouble.key === "error.gone";
  trouble.error = error;
  trouble.key = error ? `error.${error instanceof ServerError ? error.kind : "broken"}` : "";
  if (error && !(error instanceof ServerError)) console.error(error);
  writeNotice();
  byId("key-form").hidden = trouble.key !== "error.key";
  if (trouble.key === "error.gone" && !wasGone) waitForServer();
}

export function writeNotice() {
  const { error, key } = trouble;
  const sentence = key ? words(key, { message: error.message, status: error.status }) : "";
  if (byId("notice").textContent !== sentence) byId("notice").textContent = sentence;
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key").value.trim());
  report(null);
  goOn();
});

async function waitForServer() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
    try {
      await ask("/healthz");
      break;
    } catch {
      // not yet
    }
  }
  report(null);
  goOn();
}

/** A question of a part, to be asked again and again: only the latest answer is shown, and errors are told. */
export class Question {
  #latest = new Latest();

  /** Asks the chosen model, and calls show(answer) unless something newer is asked meanwhile; failed() after an error. */
  async ask(path, body, show, { after = 0, failed = () => {} } = {}) {
    await this.run((signal) => ask(path, { model: chosen.model.id, ...body }, signal), show, { after, failed });
  }

  async run(work, show, { after = 0, failed = () => {} } = {}) {
    try {
      const answer = await this.#latest.run(async (signal) => {
        if (after) await new Promise((resolve) => setTimeout(resolve, after));
        signal.throwIfAborted();
        return work(signal);
      });
      if (answer === undefined) return;
      report(null);
      show(answer);
    } catch (error) {
      failed();
      report(error);
    }
  }

  cancel() {
    this.#latest.cancel();
  }
}

/** Calls action() when a field's text changed, but not while a Chinese or other input method is still composing it. */
export function onText(field, action) {
  field.addEventListener("input", (event) => {
    if (!event.isComposing) action();
  });
  field.addEventListener("compositionend", () => action());
}

const sharing = [];

/** Makes a field show the one text that several parts look at; `changed` is called when the user writes into it. */
export function shareText(field, changed) {
  sharing.push(field);
  onText(field, () => {
    for (const other of sharing) if (other !== field) other.value = field.value;
    changed();
  });
}

/** Puts a text into all fields that share it. */
export function setSharedText(text) {
  for (const field of sharing) field.value = text;
}

/** A button that lets the model write an example into the shared text. */
export function onExample(button, changed) {
  const question = new Question();
  button.addEventListener("click", () => {
    question.ask("/v1/completions", { prompt: "", max_tokens: 120, temperature: 0.7 }, ({ choices }) => {
      setSharedText(choices[0].text.trim());
      changed();
    });
  });
}

/** Ctrl + Enter (Cmd on a Mac) in a field sends its form. */
export function onControlEnter(field) {
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
    event.preventDefault();
    field.form.requestSubmit();
  });
}
