// State and functions shared by the parts of the page: the chosen model, the text, and the notice of errors.

import { byId } from "./dom.js";
import { Latest } from "./latest.js";
import { ask, useKey } from "./server.js";
import { ServerError } from "./server_error.js";
import { count, words } from "./words.js";

const LOOK_AGAIN = 1500; // milliseconds

/** model: the chosen model's entry in the list of /v1/models. */
export const chosen = { model: null };

const EVERYWHERE = ["gone", "key"]; // kinds of errors that affect all parts
const troubles = new Map(); // errors by the name of their part; "" for errors that affect all parts
let shown = ""; // name of the visible part
let goOn = () => {};

/** Sets the action for when the server is back. */
export function whenBack(action) {
  goOn = action;
}

/** Shows an error whenever its part is visible. If the server is gone, waits until it is back. */
export function report(error, part) {
  if (!(error instanceof ServerError)) console.error(error);
  const wasGone = troubles.get("")?.kind === "gone";
  troubles.set(EVERYWHERE.includes(error.kind) ? "" : part, error);
  writeNotice();
  if (error.kind === "gone" && !wasGone) waitForServer();
}

/** Removes the errors of a part, and those that affect all parts: the server has answered. */
export function answered(part) {
  troubles.delete("");
  forget(part);
}

/** Removes the errors of a part, or all errors if no part is given. */
export function forget(part) {
  if (part === undefined) troubles.clear();
  else troubles.delete(part);
  writeNotice();
}

/** Shows the errors of a part, which is now visible. */
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

/** Returns the message of an error in the language of the page; the server's own message is in English. */
function sentenceOf({ kind, message, code, param, details, status }) {
  const values = { message, code: code || "–", status, place: count(1 + Number(param?.match(/\[(\d+)\]$/)?.[1])) };
  for (const [name, value] of Object.entries(details ?? {})) values[name] = typeof value === "number" ? count(value) : value;
  const one = param?.endsWith("]") ? ".one" : ""; // the error is about one of several lines
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

const PATIENCE = 500; // milliseconds until the page says that it is working
let awaited = 0; // number of requests that have been waiting for so long

/** Resolves to the result of work(); meanwhile, after PATIENCE, the page says that it is working. */
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

/** A request that a part makes repeatedly: only the latest answer is shown, and errors are reported. */
export class Question {
  #latest = new Latest();
  #part;

  /** part: name of the part. */
  constructor(part) {
    this.#part = part;
  }

  /** Asks the chosen model, and calls show(answer) unless a newer request was made meanwhile; failed() on an error. */
  async ask(path, body, show, { after = 0, failed = () => {} } = {}) {
    const { id: model } = chosen.model; // read it now: during the wait, another model may be chosen
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

/** Calls action() when a field's text changes, but not during the composition of an input method, as for Chinese. */
export function onText(field, action) {
  field.addEventListener("input", (event) => {
    if (!event.isComposing) action();
  });
  field.addEventListener("compositionend", () => action());
}

let show = () => {};

/** Sets the action that shows a part by its name. */
export function whenOpened(action) {
  show = action;
}

/** Opens another part. */
export function openPart(name) {
  show(name);
}

const sharing = [];

/** Connects a field to the text that several parts share; `changed` is called when the user edits it. */
export function shareText(field, changed) {
  sharing.push(field);
  onText(field, () => {
    for (const other of sharing) if (other !== field) other.value = field.value;
    changed();
  });
}

/** Sets the shared text in all its fields. */
export function setSharedText(text) {
  for (const field of sharing) field.value = text;
}

/** Returns the text that the parts share. */
export function sharedText() {
  return sharing[0].value;
}

/** Copies the shared text to a field if it is empty. */
export function borrowText(field) {
  if (!field.value) field.value = sharedText();
}

/** Makes a button of a part replace the shared text by an example that the model generates. */
export function onExample(button, part, changed) {
  const question = new Question(part);
  button.addEventListener("click", () => {
    question.ask("/v1/completions", { prompt: "", max_tokens: 120, temperature: 0.7 }, ({ choices }) => {
      setSharedText(choices[0].text.trim());
      changed();
    });
  });
}

/** Submits a field's form on Ctrl + Enter, or Cmd + Enter on a Mac. */
export function onControlEnter(field) {
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
    event.preventDefault();
    field.form.requestSubmit();
  });
}
