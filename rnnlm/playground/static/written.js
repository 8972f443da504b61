// A text that the model writes: what was given, its tokens with their probabilities, and what can be done with it.

import { element } from "./dom.js";
import { percent, words } from "./words.js";

const DEEPEST = 12; // bits; what is less probable is coloured the same
const SAID = 1500; // milliseconds

export class WrittenText {
  /** given: what the text begins with; goOn(text) and take(text): called when it is to be continued or measured. */
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

  /** Gives ids to its parts. */
  name(given, written) {
    this.given.id = given;
    this.written.id = written;
  }

  get text() {
    return this.given.textContent + this.written.textContent;
  }

  /** Adds what arrived: a choice of /v1/completions with logprobs. */
  add({ text, logprobs }) {
    let left = text;
    for (const [place, token] of (logprobs?.tokens ?? []).entries()) {
      if (!token || !left.startsWith(token)) continue; // the mark of an end, which is no text
      const bare = token.trimStart() || token; // the space before a word has no colour
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

/** Copies a text and says so on the button. Where the clipboard is closed to pages, the way of old browsers is left. */
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
