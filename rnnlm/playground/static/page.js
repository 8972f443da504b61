// What the parts of the page share: the model that was chosen, the text, and the place where trouble is told.

import { byId } from "./dom.js";
import { Latest } from "./latest.js";
import { ask, useKey } from "./server.js";
import { ServerError } from "./server_error.js";
import { count, words } from "./words.js";

const LOOK_AGAIN = 1500; // milliseconds

/** The model's entry in the list of /v1/models. */
export const chosen = { model: null };

const EVERYWHERE = ["gone", "key"]; // kinds of trouble that no part can do anything without
const troubles = new Map(); // errors by the part that they belong to; "" for what concerns all of them
let shown = ""; // name of the part that is shown
let goOn = () => {};

/** What to do when the server is back. */
export function whenBack(action) {
  goOn = action;
}

/** Tells of an error where its part is shown. Where the server is gone, waits until it is back. */
export function report(error, part) {
  if (!(error instanceof ServerError)) console.error(error);
  const wasGone = troubles.get("")?.kind === "gone";
  troubles.set(EVERYWHERE.includes(error.kind) ? "" : part, error);
  writeNotice();
  if (error.kind === "gone" && !wasGone) waitForServer();
}

/** Takes away what was told of a part, and what concerned all of them: the server has answered. */
export function answered(part) {
  troubles.delete("");
  forget(part);
}

/** Takes away what was told of a part; of all of them without one. */
export function forget(part) {
  if (part === undefined) troubles.clear();
  else troubles.delete(part);
  writeNotice();
}

/** Tells of the trouble of the part that is shown now. */
export function showTroubleOf(part) {
  shown = part;
  writeNotice();
}

export function writeNotice() {
  const error = troubles.get("") ?? troubles.get(shown);
  const sentence = error ? sentenceOf(error) : "";
  if (byId("notice").textContent !== sentence) byId("notice").textContent = sentence;
  byId("key-form").hidden = error?.kind !== "key";
}

/** What an error is, in the language of the page: what the server says is in English. */
function sentenceOf({ kind, message, code, param, details, status }) {
  const values = { message, code: code || "–", status, place: count(1 + Number(param?.match(/\[(\d+)\]$/)?.[1])) };
  for (const [name, value] of Object.entries(details ?? {})) values[name] = typeof value === "number" ? count(value) : value;
  const one = param?.endsWith("]") ? ".one" : ""; // it is about one of several lines
  if (kind !== "server") return words(`error.${kind ?? "broken"}`, values);
  return words(`error.${code}${one}`, values) ?? words(`error.${code}`, values) ?? words("error.server", values);
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key").value.trim());
  forget("");
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
  forget("");
  goOn();
}

const PATIENCE = 500; // milliseconds after which it is said that one has to wait
let awaited = 0; // number of questions that have no answer for so long

/** What work() resolves to; says meanwhile that one has to wait, if it takes a while. */
export async function whileWaiting(work) {
  let told = false;
  const tell = (by) => {
    awaited += by;
    byId("waiting").textContent = awaited ? words("working") : "";
  };
  const timer = setTimeout(() => {
    told = true;
    tell(1);
  }, PATIENCE);
  try {
    return await work();
  } finally {
    clearTimeout(timer);
    if (told) tell(-1);
  }
}

/** A question of a part, to be asked again and again: only the latest answer is shown, and errors are told. */
export class Question {
  #latest = new Latest();
  #part;

  /** part: name of the part that asks. */
  constructor(part) {
    this.#part = part;
  }

  /** Asks the chosen model, and calls show(answer) unless something newer is asked meanwhile; failed() after an error. */
  async ask(path, body, show, { after = 0, failed = () => {} } = {}) {
    const { id: model } = chosen.model; // now: after the wait, another one may be chosen
    await this.run((signal) => ask(path, { model, ...body }, signal), show, { after, failed });
  }

  async run(work, show, { after = 0, failed = () => {} } = {}) {
    try {
      const answer = await this.#latest.run(async (signal) => {
        if (after) await new Promise((resolve) => setTimeout(resolve, after));
        signal.throwIfAborted();
        return whileWaiting(() => work(signal));
      });
      if (answer === undefined) return;
      answered(this.#part);
      show(answer);
    } catch (error) {
      failed();
      report(error, this.#part);
    }
  }

  cancel() {
    this.#latest.cancel();
    forget(this.#part);
  }
}

/** Calls action() when a field's text changed, but not while a Chinese or other input method is still composing it. */
export function onText(field, action) {
  field.addEventListener("input", (event) => {
    if (!event.isComposing) action();
  });
  field.addEventListener("compositionend", () => action());
}

let show = () => {};

/** How a part is shown, by its name. */
export function whenOpened(action) {
  show = action;
}

/** Shows another part. */
export function openPart(name) {
  show(name);
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

/** The text that the parts share. */
export function sharedText() {
  return sharing[0].value;
}

/** Gives a field that is empty the text that the parts share. */
export function borrowText(field) {
  if (!field.value) field.value = sharedText();
}

/** A button of a part that lets the model write an example into the shared text. */
export function onExample(button, part, changed) {
  const question = new Question(part);
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
