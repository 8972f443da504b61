// Ranked candidates as rows with bars.

import { element } from "./dom.js";
import { LEAST_SHOWN, percent } from "./words.js";

/** Returns rows with bars scaled to the longest one; rows too improbable to show a figure are left out. */
export function scaled(rows) {
  const shown = rows.filter(({ share }, place) => place === 0 || share >= LEAST_SHOWN);
  const most = Math.max(...shown.map(({ share }) => share));
  return shown.map((row) => ({ ...row, length: most ? row.share / most : 0 }));
}

/**
 * Shows rows in a list: [{token, share, length = share, name, number, detail}]. token: a string or nodes; name: its
 * spoken form; number: shown instead of the share in percent. Existing rows are reused, so that the focus stays. With
 * choose(place), rows are buttons.
 */
export function showBars(list, rows, choose) {
  while (list.children.length > rows.length) list.lastElementChild.remove();
  rows.forEach((row, place) => {
    const item = list.children[place] ?? list.appendChild(newItem(choose && (() => choose(place))));
    fill(item.firstElementChild, row, Boolean(choose));
  });
}

function newItem(choose) {
  const bar = element("span", { class: "bar" });
  const row = element(
    choose ? "button" : "div",
    { class: "row", ...(choose ? { type: "button" } : {}) },
    element("span", { class: "token" }),
    element("span", { class: "track", "aria-hidden": "true" }, bar),
    element("span", { class: "percent" }),
    element("span", { class: "detail" }),
  );
  if (choose) {
    row.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays in the text
    row.addEventListener("click", choose);
  }
  return element("li", {}, row);
}

function fill(row, { token, share, length = share, name, number, detail = "", isIt = false }, isButton) {
  const [shown, track, figure, more] = row.children;
  shown.replaceChildren(...(Array.isArray(token) ? token : [token]));
  track.firstElementChild.style.setProperty("--share", length);
  track.firstElementChild.hidden = length === 0;
  figure.textContent = number ?? percent(share);
  more.textContent = detail;
  more.hidden = detail === "";
  row.classList.toggle("is-it", isIt);
  if (isButton) row.setAttribute("aria-label", `${name}, ${percent(share)}`);
}
