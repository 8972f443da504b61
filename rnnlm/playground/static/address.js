// Keeps the state of the page in the fragment of its address: the part, the model, the text and the settings. They
// survive a reload and can be shared as a link, and the server never sees them.

import { byId } from "./dom.js";
import { setSharedText, sharedText } from "./page.js";

/** Fields of the page by their names in the address; a field with its default value is left out. */
const FIELDS = {
  temperature: "temperature",
  topk: "top-k",
  topp: "top-p",
  length: "length",
  seed: "sample-seed",
  texts: "sample-count",
  blanks: "fill-text",
  most: "fill-tokens",
  lines: "rank-lines",
};
const LONGEST = 4000; // characters of a value that is put into the address
const WAIT = 400; // milliseconds without a change: browsers limit how often a page may change its address

/** Returns {part, model, second} from the address, and sets the fields to the values in it. */
export function readAddress() {
  const [part, query = ""] = location.hash.slice(1).split("?");
  const given = new URLSearchParams(query);
  if (given.has("text")) setSharedText(given.get("text"));
  for (const [name, id] of Object.entries(FIELDS)) {
    if (!given.has(name)) continue;
    byId(id).value = given.get(name);
    byId(id).dispatchEvent(new Event("input", { bubbles: true }));
  }
  return { part, model: given.get("model"), second: given.get("second") };
}

let waiting = 0;

/** Writes the address after WAIT; what() returns {part, model, second} at that time. */
export function writeAddress(what) {
  clearTimeout(waiting);
  waiting = setTimeout(() => history.replaceState(null, "", addressOf(what())), WAIT);
}

function addressOf({ part, model, second }) {
  const told = new URLSearchParams();
  if (model) told.set("model", model);
  if (second) told.set("second", second);
  const values = { text: sharedText(), ...Object.fromEntries(Object.entries(FIELDS).map(([name, id]) => [name, changed(byId(id))])) };
  for (const [name, value] of Object.entries(values)) {
    const isBorrowed = name !== "text" && value === values.text;
    if (value && value.length <= LONGEST && !isBorrowed) told.set(name, value);
  }
  return `#${part}${told.size ? `?${told}` : ""}`;
}

function changed({ value, defaultValue }) {
  return value === defaultValue ? "" : value;
}
