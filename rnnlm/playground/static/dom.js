// Elements are made here and nowhere else: what a string contains becomes text, whatever it looks like.

/** The element with an id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A new element with attributes and children; strings among them become text nodes. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

/** A new element of a drawing (SVG) with attributes and children. */
export function drawing(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

/** Whether the screen is touched, so that nothing can be pointed at and there may be no keys. */
export function touches() {
  return matchMedia("(hover: none)").matches;
}

/** Resolves after a while; rejects when the signal aborts. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
