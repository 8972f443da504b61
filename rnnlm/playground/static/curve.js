// A curve along a text: one figure for each token, on a scale with numbers.

import { drawing, element } from "./dom.js";
import { figure } from "./words.js";

const [WIDTH, HEIGHT] = [1000, 100]; // of the drawing, which is stretched to the width of the page

/**
 * Returns {node, mark}, a curve with its scale; mark(place) marks a token. look: {top, mean, name, lookAt, goTo}: the
 * end of the scale, the value of a horizontal line, the spoken description, and functions that are called with the
 * place of the token that is pointed at or clicked.
 */
export function curve(values, { top, mean, name, lookAt, goTo }) {
  const step = WIDTH / values.length;
  const y = (value) => HEIGHT * (1 - value / top);
  const line = values.map((value, place) => `${place ? "L" : "M"}${place * step} ${y(value)}h${step}`).join("");
  const marked = drawing("rect", { class: "marked", y: 0, width: Math.max(step, 2), height: HEIGHT, visibility: "hidden" });
  const picture = drawing(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": name },
    marked,
    drawing("path", { class: "area", d: `${line}V${HEIGHT}H0Z` }),
    drawing("path", { class: "line", d: line }),
    drawing("path", { class: "mean", d: `M0 ${y(mean)}H${WIDTH}` }),
  );
  const placeOf = (event) => {
    const { left, width } = picture.getBoundingClientRect();
    return Math.max(0, Math.min(values.length - 1, Math.floor(((event.clientX - left) / width) * values.length)));
  };
  picture.addEventListener("pointermove", (event) => lookAt(placeOf(event)));
  picture.addEventListener("click", (event) => goTo(placeOf(event)));
  const scale = [top, top / 2, 0].map((each) => element("span", {}, figure(each, 0)));
  return {
    node: element("div", { class: "curve" }, element("div", { class: "axis", "aria-hidden": "true" }, ...scale), picture),
    mark(place) {
      marked.setAttribute("x", place * step);
      marked.setAttribute("visibility", "visible");
    },
  };
}
