// Runs before the page is drawn, so that the other theme does not flash first. app.js uses "remembered", too.
"use strict";

const remembered = {
  get(name) {
    try {
      return localStorage.getItem(`rnnlm.${name}`);
    } catch {
      return null; // storage may be forbidden; then nothing is remembered
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(`rnnlm.${name}`, value);
    } catch {
      // as above
    }
  },
};

const theme = remembered.get("theme");
if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
