// Runs before the page is drawn, so that a chosen theme does not flash the other one first. "remembered" is for app.js too.
"use strict";

const remembered = {
  get(name) {
    try {
      return localStorage.getItem(`rnnlm.${name}`);
    } catch {
      return null; // storage may be forbidden: then nothing is remembered
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
