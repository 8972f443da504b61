// All units over the text: the map of a layer, the search for units that are high in a stretch, and where a unit is
// highest.

import { byId, element } from "./dom.js";
import { Question } from "./page.js";
import { Activations, unitMap } from "./unitmap.js";
import { contexts, higherIn, touched } from "./unitsearch.js";
import { count, figure, spoken, visible, words } from "./words.js";

const WAIT = 300; // milliseconds

/** field: the field of the text; choose({layer, unit}): called when a unit is clicked. */
export function unitsView(field, choose) {
  const question = new Question("neurons");
  let all = null;
  let chosen = { layer: 0, unit: null };
  let found = null; // {text, units}: result of the search
  let map = null;

  function update() {
    question.ask("/api/activations", { text: field.value }, (answer) => {
      all = new Activations(answer);
      found = null;
      render();
    }, { after: WAIT });
  }

  function clear() {
    question.cancel();
    all = found = null;
    render();
  }

  /** Marks the painted unit. */
  function select(unit) {
    const other = unit.layer !== chosen.layer;
    chosen = unit;
    if (other) renderMap();
    map?.mark(chosen.unit);
    renderContexts();
    renderFound();
  }

  function search() {
    const { selectionStart: start, selectionEnd: end } = field;
    const stretch = all && touched(all.tokens, start, end);
    found = stretch && end > start ? { text: field.value.slice(start, end), units: higherIn(all, stretch) } : { units: [] };
    renderFound();
  }

  function render() {
    byId("neurons-all").hidden = !all?.tokens.length;
    if (byId("neurons-all").hidden) return;
    const more = all.of > all.tokens.length;
    byId("neurons-part").textContent = more ? words("neurons.part", { shown: count(all.tokens.length), of: count(all.of) }) : "";
    renderMap();
    renderFound();
    renderContexts();
  }

  function renderMap() {
    if (!all?.tokens.length || chosen.layer >= all.layers) return;
    const { layer } = chosen;
    map = unitMap(all, layer, {
      name: words("neurons.map.name", { layer: layer + 1, units: count(all.units), tokens: count(all.tokens.length) }),
      say: (unit, place) => `${told({ layer, unit })}, ${spoken(all.tokens[place])}: ${signed(all.at(place, layer, unit))}`,
      choose: (unit) => choose({ layer, unit }),
    });
    byId("neurons-map").replaceChildren(map.node);
    map.mark(chosen.unit);
  }

  function renderFound() {
    const title = byId("neurons-search-title");
    title.textContent = found ? words(found.units.length ? "neurons.search.found" : "neurons.search.none", { text: found.text }) : "";
    byId("neurons-search-found").replaceChildren(...(found?.units ?? []).map(button));
  }

  function button({ layer, unit, inside, outside }) {
    const made = element("button", { type: "button", "aria-pressed": layer === chosen.layer && unit === chosen.unit });
    made.append(told({ layer, unit }), " ", element("span", {}, `${signed(inside)} / ${signed(outside)}`));
    made.addEventListener("click", () => choose({ layer, unit }));
    return made;
  }

  function told({ layer, unit }) {
    return words(all.layers === 1 ? "neurons.found.unit" : "neurons.found.layer", { layer: layer + 1, unit });
  }

  function renderContexts() {
    const isKnown = all && chosen.unit !== null && chosen.layer < all.layers && chosen.unit < all.units;
    byId("neurons-contexts-title").textContent = isKnown ? words("neurons.contexts", { unit: told(chosen) }) : "";
    const rows = isKnown ? contexts(all, chosen.layer, chosen.unit) : [];
    byId("neurons-contexts").replaceChildren(...rows.map(context));
  }

  byId("neurons-search").addEventListener("mousedown", (event) => event.preventDefault()); // keep the selection in the field
  byId("neurons-search").addEventListener("click", search);
  return { update, clear, select, render };
}

function context({ before, token, after, activation }) {
  const line = (text) => text.replaceAll("\n", "↵");
  const core = token.trim() || visible(token);
  const space = token.trim() ? line(token.slice(0, token.length - token.trimStart().length)) : "";
  return element(
    "li",
    {},
    element("span", { class: "before" }, line(before) + space),
    element("mark", {}, core),
    element("span", { class: "after" }, line(after)),
    element("span", { class: "percent" }, signed(activation)),
  );
}

function signed(value) {
  return `${value <= -0.005 ? "−" : "+"}${figure(Math.abs(value), 2)}`;
}
