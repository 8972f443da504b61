// The part that paints the activation of a hidden unit over the text, and lists units that follow a property of it.

import { byId, element, touches } from "./dom.js";
import { Question, chosen, onExample, shareText } from "./page.js";
import { legend, paint } from "./painting.js";
import { unitsView } from "./units.js";
import { count, figure, spoken, visible, words } from "./words.js";

const WAIT = 250; // milliseconds without a change: the search for units reads the whole text
const STEPS = [-1, -0.5, 0, 0.5, 1];

export function neuronsPart() {
  const field = byId("neurons-text");
  const [layer, unit] = [byId("neurons-layer"), byId("neurons-unit")];
  const finding = new Question("neurons");
  const reading = new Question("neurons");
  let found = null;
  let painted = null; // {layer, unit, tokens}: the painted unit, which may differ from the typed numbers
  const view = unitsView(field, (each) => {
    touched = true;
    choose(each);
  });
  let touched = false; // whether the user chose a unit; otherwise the first unit found is shown

  function update() {
    byId("neurons-empty").hidden = Boolean(field.value.trim());
    if (field.value.trim()) {
      finding.ask("/api/neurons", { text: field.value }, showFound, { after: WAIT });
      view.update();
    } else {
      finding.cancel();
      reading.cancel();
      found = null;
      painted = null;
      view.clear();
      render();
    }
  }

  function showFound(answer) {
    found = answer;
    renderFound();
    if (!touched && answer.found.length) choose(answer.found[0]);
    else read();
  }

  function choose(each) {
    layer.value = each.layer + 1;
    unit.value = each.unit;
    press();
    read();
  }

  function read() {
    if (!found || !field.value.trim()) return;
    renderWrong();
    if (isWrong()) {
      reading.cancel();
      painted = null;
      renderPainting();
      return;
    }
    const chosenUnit = { layer: layer.valueAsNumber - 1, unit: unit.valueAsNumber };
    view.select(chosenUnit);
    reading.ask("/api/activation", { text: field.value, ...chosenUnit }, ({ tokens }) => {
      painted = { ...chosenUnit, tokens };
      renderPainting();
    });
  }

  /** Returns whether a typed number is not that of a layer or unit. */
  function isWrong() {
    return [layer, unit].some((input) => !(input.value !== "" && input.validity.valid));
  }

  /** Shows beside the numbers that there is no such unit, and marks the wrong number. */
  function renderWrong() {
    for (const input of [layer, unit]) input.setAttribute("aria-invalid", !(input.value !== "" && input.validity.valid));
    const key = found?.layers === 1 ? "neurons.wrong.one" : "neurons.wrong";
    const most = found && { layer: count(found.layers), unit: count(found.units - 1) };
    byId("neurons-wrong").textContent = found && isWrong() ? words(key, most) : "";
  }

  function renderFound() {
    byId("neurons-choice").hidden = byId("neurons-following").hidden = !found;
    if (!found) return;
    layer.max = found.layers;
    unit.max = found.units - 1;
    renderWrong();
    const size = found.layers === 1 ? "neurons.size.one" : "neurons.size";
    byId("neurons-size").textContent = words(size, { layers: count(found.layers), units: count(found.units) });
    byId("neurons-found-title").textContent = words(found.found.length ? "neurons.found" : "neurons.none");
    byId("neurons-found").replaceChildren(...[...Map.groupBy(found.found, (each) => each.property).entries()].map(line));
    press();
  }

  /** Returns a property with buttons for the units that follow it. */
  function line([name, units]) {
    const buttons = units.map((each) => {
      const button = element("button", { type: "button", "data-layer": each.layer, "data-unit": each.unit });
      const key = found.layers === 1 ? "neurons.found.unit" : "neurons.found.layer";
      button.append(words(key, { ...each, layer: each.layer + 1 }), " ", element("span", {}, signed(each.correlation)));
      button.addEventListener("click", () => {
        touched = true;
        choose(each);
      });
      return button;
    });
    return element("li", {}, element("span", { class: "property" }, property(name)), ...buttons);
  }

  /** Marks the button of the painted unit. */
  function press() {
    for (const button of byId("neurons-found").querySelectorAll("button")) {
      const isIt = Number(button.dataset.layer) + 1 === layer.valueAsNumber && button.dataset.unit === unit.value;
      button.setAttribute("aria-pressed", isIt);
    }
  }

  function renderPainting() {
    const tokens = painted?.tokens ?? [];
    const values = tokens.map(({ activation }) => activation);
    byId("neurons-figures").textContent = values.length
      ? words("neurons.figures", {
          layer: painted.layer + 1,
          unit: painted.unit,
          low: signed(values.reduce((low, each) => Math.min(low, each))),
          high: signed(values.reduce((high, each) => Math.max(high, each))),
        })
      : "";
    const look = {
      kind: "activation",
      label: words("neurons.painting"),
      hint: words(touches() ? "neurons.hint.touch" : "neurons.hint"),
      legend: legend("activation", STEPS.map(shade), words("neurons.negative"), words("neurons.positive")),
    };
    paint(byId("neurons-painting"), tokens.map(option), look, (place) => details(tokens[place]));
  }

  function render() {
    byId("neurons-empty").hidden = Boolean(field.value.trim());
    renderFound();
    renderPainting();
    view.render();
  }

  function reset() {
    touched = false;
    layer.value = 1;
    unit.value = 0;
    view.clear();
  }

  shareText(field, update);
  for (const input of [layer, unit]) {
    input.addEventListener("input", () => {
      touched = true;
      read();
      press();
    });
  }
  onExample(byId("neurons-example"), "neurons", update);
  return {
    show() {
      byId("neurons-example").hidden = chosen.model.bidirectional; // a bidirectional model cannot generate text
      update();
    },
    render,
    reset,
  };
}

function shade(activation) {
  return { share: Math.min(1, Math.abs(activation)), tone: activation < 0 ? "negative" : "positive" };
}

function signed(value) {
  return `${value <= -0.005 ? "−" : "+"}${figure(Math.abs(value), 2)}`;
}

function option({ text, activation }) {
  const name = words("neurons.token", { token: spoken(text || "\n"), activation: signed(activation) });
  return { text, name, ...shade(activation) };
}

function details({ text, activation }) {
  return [
    element("p", { class: "subject" }, visible(text.trim() || text || "\n")),
    element("p", {}, words("neurons.activation", { activation: signed(activation) })),
  ];
}

function property(name) {
  return words(`property.${name}`) ?? name.replaceAll("_", " ");
}
