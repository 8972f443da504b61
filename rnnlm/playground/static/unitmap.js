// Draws all units of a layer as a picture: a row for each unit, a column for each token.

import { element } from "./dom.js";

/** The answer of /api/activations: activations of all units, from -127 to 127. */
export class Activations {
  constructor({ tokens, of, layers, units, activations }) {
    Object.assign(this, { tokens, of, layers, units });
    this.numbers = Int8Array.from(atob(activations), (character) => character.charCodeAt(0));
  }

  /** Returns an activation from -1 to 1. */
  at(place, layer, unit) {
    return this.numbers[(place * this.layers + layer) * this.units + unit] / 127;
  }
}

/** Returns a layer's picture, {node, mark}. look: {name, say(unit, place), choose(unit, place)}; mark(unit) marks a row. */
export function unitMap(all, layer, { name, say, choose }) {
  const canvas = element("canvas", { width: all.tokens.length, height: all.units, role: "img", "aria-label": name });
  const row = element("div", { class: "row-mark", hidden: "" });
  const map = element("div", { class: "map" }, canvas, row);
  const caption = element("p", { class: "hint caption" }, " ");
  draw(canvas, all, layer);
  const pointed = ({ clientX, clientY }) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const within = (share, number) => Math.max(0, Math.min(number - 1, Math.floor(share * number)));
    return [within((clientY - top) / height, all.units), within((clientX - left) / width, all.tokens.length)];
  };
  canvas.addEventListener("pointermove", (event) => (caption.textContent = say(...pointed(event))));
  canvas.addEventListener("click", (event) => choose(...pointed(event)));
  return {
    node: element("div", {}, map, caption),
    mark(unit) {
      row.hidden = unit === null;
      if (unit === null) return;
      row.style.setProperty("top", `${(100 * unit) / all.units}%`);
      row.style.setProperty("height", `${100 / all.units}%`);
    },
  };
}

function draw(canvas, all, layer) {
  const [warm, cool] = ["--warm", "--cool"].map(colour);
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (let unit = 0, place = 0; unit < all.units; unit++) {
    for (let token = 0; token < all.tokens.length; token++, place += 4) {
      const value = all.at(token, layer, unit);
      image.data.set(value < 0 ? cool : warm, place);
      image.data[place + 3] = 255 * Math.abs(value);
    }
  }
  context.putImageData(image, 0, 0);
}

/** Returns red, green and blue of a colour in the style sheet. */
function colour(name) {
  const one = new OffscreenCanvas(1, 1).getContext("2d");
  const probe = document.body.appendChild(element("span", { class: `probe${name}` }));
  one.fillStyle = getComputedStyle(probe).color;
  probe.remove();
  one.fillRect(0, 0, 1, 1);
  return one.getImageData(0, 0, 1, 1).data.slice(0, 3);
}
