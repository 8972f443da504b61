// All elements are created here. Strings always become text nodes, never markup.

/** Returns the element with an id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Creates an element with attributes and children; strings among the children become text nodes. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

/** Creates an SVG element with attributes and children. */
export function drawing(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

/** Returns whether the main input is touch, so that there is no hovering and perhaps no keyboard. */
export function touches() {
  return matchMedia("(hover: none)").matches;
}

/** Returns a promise that resolves after some time, and rejects when the signal aborts. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
