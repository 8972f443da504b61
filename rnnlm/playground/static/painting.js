// Paints a text token by token. The tokens are a list box for keys, pointer and touch, with details of the selected
// token beside the text.

import { element } from "./dom.js";
import { visible } from "./words.js";

let paintings = 0;

/**
 * Paints tokens into a container.
 *
 * tokens: [{text, share, name, tone, unknown}]; share: strength of the colour from 0 to 1; name: the spoken form.
 * look: {kind, label, hint, legend, borders, looked, chosen}; kind: class of the painting; borders: whether to draw
 * borders between words without a space; looked(place): called when a token is selected; chosen(place): called when a
 * token gets the focus. details(place) returns nodes about a token. Returns the functions {lookAt, goTo}, which select
 * and focus the token at a place.
 */
export function paint(container, tokens, look, details) {
  const aside = element("aside", { class: "details", id: `details-${(paintings += 1)}` });
  aside.append(element("p", { class: "hint" }, look.hint));
  const list = element("div", { class: "tokens text", role: "listbox", "aria-orientation": "horizontal" });
  list.setAttribute("aria-label", look.label);
  const options = tokens.map(option);
  options[0]?.setAttribute("tabindex", "0");
  tokens.forEach((token, place) => list.append(...around(token, options[place])));
  if (look.borders) tokens.forEach((token, place) => options[place].classList.toggle("joined", isJoined(tokens, place)));

  function lookAt(place) {
    list.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
    options[place].setAttribute("aria-selected", "true");
    aside.replaceChildren(...details(place));
    look.looked?.(place);
  }
  function goTo(place) {
    list.querySelector("[tabindex='0']")?.setAttribute("tabindex", "-1");
    options[place].setAttribute("tabindex", "0");
    options[place].focus();
  }
  const placeOf = (event) => options.indexOf(event.target.closest("[role=option]"));
  const react = (action) => (event) => placeOf(event) >= 0 && action(placeOf(event));

  list.addEventListener("pointerover", react(lookAt));
  list.addEventListener("click", react(goTo));
  list.addEventListener("focusin", react((place) => {
    lookAt(place);
    options[place].setAttribute("aria-describedby", aside.id);
    look.chosen?.(place);
  }));
  list.addEventListener("keydown", (event) => {
    const place = placeOf(event);
    const target = place < 0 || event.ctrlKey || event.altKey || event.metaKey ? -1 : after(event.key, place, options);
    if (target < 0) return;
    event.preventDefault();
    goTo(target);
  });
  const painting = element("div", { class: `painting ${look.kind}` }, list, aside);
  container.replaceChildren(...(tokens.length ? [look.legend, painting] : []));
  return { lookAt, goTo };
}

/** Returns whether a word follows another one without a space, so that only a border shows where it begins. */
function isJoined(tokens, place) {
  return place > 0 && /[\p{L}\p{N}]$/u.test(tokens[place - 1].text) && /^[\p{L}\p{N}]/u.test(tokens[place].text);
}

function option(token) {
  const core = token.text.trim();
  const shown = core || (/^ +$/.test(token.text) ? token.text : visible(token.text || "\n"));
  const made = element("span", { role: "option", "aria-selected": "false", tabindex: "-1" }, shown);
  made.setAttribute("aria-label", token.name);
  made.classList.toggle("white", core === "");
  made.classList.toggle("unknown", Boolean(token.unknown));
  if (token.tone) made.classList.add(token.tone);
  made.style.setProperty("--share", token.share);
  return made;
}

/** Returns an option with the white space around the token's text, which is not painted; newlines break the line. */
function around(token, made) {
  const core = token.text.trim();
  if (core === "") return [made, token.text.replace(/[^\n]/g, "")];
  const start = token.text.indexOf(core);
  return [token.text.slice(0, start), made, token.text.slice(start + core.length)];
}

/** Returns the place that a key leads to; -1 for keys that do not move. */
function after(key, place, options) {
  const last = options.length - 1;
  switch (key) {
    case "ArrowRight": return Math.min(last, place + 1);
    case "ArrowLeft": return Math.max(0, place - 1);
    case "Home": return 0;
    case "End": return last;
    case "ArrowDown": return inOtherLine(place, 1, options);
    case "ArrowUp": return inOtherLine(place, -1, options);
    default: return -1;
  }
}

/** Returns the place of the token above or below, or the same place if there is no other line. */
function inOtherLine(place, step, options) {
  const { left, top } = options[place].getBoundingClientRect();
  let best = place;
  let line = null;
  for (let other = place + step; other >= 0 && other < options.length; other += step) {
    const box = options[other].getBoundingClientRect();
    if (Math.abs(box.top - top) < 2) continue;
    line ??= box.top;
    if (Math.abs(box.top - line) >= 2) break;
    if (best === place || Math.abs(box.left - left) < Math.abs(options[best].getBoundingClientRect().left - left)) best = other;
  }
  return best;
}

/** Returns the scale of colours, with words at both ends or a figure at each step. steps: [{share, tone, figure}]. */
export function legend(kind, steps, least, most) {
  const scale = element("span", { class: "scale", "aria-hidden": "true" });
  for (const { share, tone, figure = "" } of steps) {
    const step = element("span", { class: `sample-of ${kind} ${tone ?? ""}` }, figure);
    step.style.setProperty("--share", share);
    scale.append(step);
  }
  return element("p", { class: "legend" }, least, scale, most);
}
