// A text that the model generates: the prompt, the tokens with their probabilities, and buttons for what to do with it.

import { element } from "./dom.js";
import { percent, words } from "./words.js";

const DEEPEST = 12; // bits from which on tokens have the strongest colour
const SAID = 1500; // milliseconds for which a button says that the text was copied

export class WrittenText {
  /** given: the prompt; goOn(text) and take(text): called to continue the text, or to measure its surprise. */
  constructor(given, { goOn, take }) {
    this.given = element("span", { class: "given" }, given);
    this.written = element("span");
    this.buttons = [
      this.#button("sample.copy", (button) => copy(this.text, button)),
      this.#button("sample.go.on", () => goOn(this.text)),
      this.#button("sample.take", () => take(this.text)),
    ];
    const text = element("div", { class: "text written" }, this.given, this.written);
    this.node = element("article", {}, text, element("p", { class: "actions" }, ...this.buttons));
  }

  /** Sets the ids of the prompt's and the generated text's elements. */
  name(given, written) {
    this.given.id = given;
    this.written.id = written;
  }

  get text() {
    return this.given.textContent + this.written.textContent;
  }

  /** Appends a choice of /v1/completions with logprobs. */
  add({ text, logprobs }) {
    let left = text;
    for (const [place, token] of (logprobs?.tokens ?? []).entries()) {
      if (!token || !left.startsWith(token)) continue; // such as </s>, which is not part of the text
      const bare = token.trimStart() || token; // the space before a word is not coloured
      this.written.append(token.slice(0, token.length - bare.length), coloured(bare, logprobs.token_logprobs[place]));
      left = left.slice(token.length);
    }
    this.written.append(left);
  }

  writing(isWriting) {
    for (const button of this.buttons) button.disabled = isWriting;
  }

  render() {
    for (const button of this.buttons) button.textContent = words(button.dataset.word);
  }

  #button(word, action) {
    const made = element("button", { type: "button", class: "small", "data-word": word }, words(word));
    made.addEventListener("click", () => action(made));
    return made;
  }
}

function coloured(token, logprob) {
  const made = element("span", { class: "drawn", title: percent(Math.exp(logprob)) }, token);
  made.style.setProperty("--share", Math.min(1, -logprob / Math.LN2 / DEEPEST));
  return made;
}

/** Copies a text and says so on the button; without the clipboard API, falls back to execCommand. */
async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = element("textarea", { class: "hidden" });
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    button.focus();
  }
  button.textContent = words("sample.copied");
  setTimeout(() => (button.textContent = words(button.dataset.word)), SAID);
}
