// The page of `rnnlm serve`: choice of model, language, theme and part. The module of each part has the part's name.

import { readAddress, writeAddress } from "./address.js";
import { byId, element } from "./dom.js";
import { fillPart } from "./fill.js";
import { neuronsPart } from "./neurons.js";
import { answered, chosen, forget, report, showTroubleOf, whenBack, whenOpened, whileWaiting, writeNotice } from "./page.js";
import { rankPart } from "./rank.js";
import { samplePart } from "./sample.js";
import { offerSecond, second } from "./second.js";
import { ask } from "./server.js";
import { surprisePart } from "./surprise.js";
import { typePart } from "./type.js";
import { chooseLanguage, count, currentLanguage, words, writeWords } from "./words.js";

/* global remembered */

const PARTS = {
  type: typePart(),
  surprise: surprisePart(),
  sample: samplePart(),
  rank: rankPart(),
  fill: fillPart(),
  neurons: neuronsPart(),
};
let models = [];
let current = null; // name of the visible part

// --- the address ----------------------------------------------------------------------------------------------------

/** Writes what is shown to the address, without the name of the first model, which is the default. */
function remember() {
  if (!chosen.model) return;
  const { id } = chosen.model;
  writeAddress(() => ({ part: current, model: id === models[0].id ? "" : id, second: second.model?.id }));
}

/** Shows the part and the models that the address names. */
function follow() {
  const { part, model, second: other } = readAddress();
  const named = models.find(({ id }) => id === model) ?? models[0];
  if (available(named).includes(part)) current = part;
  byId("model").value = named.id;
  showModel(named, other);
}

// --- parts --------------------------------------------------------------------------------------------------------

function available(model = chosen.model) {
  const { bidirectional, kind, parts = Object.keys(PARTS) } = model; // parts: set in the page that is a file
  return Object.keys(PARTS).filter((name) => {
    if (!parts.includes(name)) return false;
    if (name === "neurons") return kind !== "ngram";
    return name === "fill" || !bidirectional;
  });
}

function showPart(name) {
  if (current && current !== name) PARTS[current].leave?.();
  current = name;
  for (const each of Object.keys(PARTS)) {
    const isIt = each === name;
    byId(`part-${each}`).hidden = !isIt;
    byId(`tab-${each}`).setAttribute("aria-selected", isIt);
    byId(`tab-${each}`).tabIndex = isIt ? 0 : -1;
  }
  remember();
  showTroubleOf(name);
  PARTS[name].show();
}

function onTabKey(event) {
  const names = available();
  const place = names.indexOf(current);
  const target = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: -1 }[event.key];
  if (target === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  showPart(names.at(target % names.length));
  byId(`tab-${current}`).focus();
}

// --- model --------------------------------------------------------------------------------------------------------

function showModel(model, other = second.model?.id) {
  chosen.model = model;
  offerSecond(models, other);
  forget();
  for (const name of Object.keys(PARTS)) {
    byId(`tab-${name}`).hidden = !available().includes(name);
    PARTS[name].reset?.();
  }
  writeFacts();
  showPart(available().includes(current) ? current : available()[0]);
}

function writeFacts() {
  const { kind, bidirectional, cell, num_layers: layers, hidden_size: hidden, vocabulary, level } = chosen.model;
  const sort = bidirectional ? "rnn.both" : kind;
  const values = { cell: String(cell).toUpperCase(), layers, hidden, vocabulary: count(vocabulary), level: words(`model.${level}`) };
  byId("model-facts").textContent = words(`model.facts.${sort}`, values) ?? "";
  const missing = bidirectional ? "both" : kind;
  byId("abilities").textContent = words(`abilities.${missing}`) ?? "";
  byId("abilities").hidden = !byId("abilities").textContent;
}

/** Loads the list of models. */
async function loadModels() {
  try {
    models = (await whileWaiting(() => ask("/v1/models"))).data;
    answered("");
  } catch (error) {
    report(error, "");
    return;
  }
  byId("model").replaceChildren(...models.map(({ id }) => element("option", { value: id }, id)));
  byId("model").disabled = models.length < 2;
  follow();
}

// --- language and theme -------------------------------------------------------------------------------------------

function showLanguage(code) {
  chooseLanguage(code);
  document.documentElement.lang = code === "zh" ? "zh-Hans" : code;
  writeWords(document);
  const other = byId("language");
  other.textContent = words("language.other");
  other.lang = code === "zh" ? "en" : "zh-Hans";
  other.setAttribute("aria-label", words("language.switch"));
  writeNotice();
  if (!chosen.model) return;
  writeFacts();
  for (const part of Object.values(PARTS)) part.render();
}

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function writeTheme() {
  byId("theme").setAttribute("aria-pressed", isDark());
}

// --- start --------------------------------------------------------------------------------------------------------

byId("language").addEventListener("click", () => {
  const code = currentLanguage() === "zh" ? "en" : "zh";
  remembered.set("language", code);
  showLanguage(code);
});
byId("theme").addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  remembered.set("theme", theme);
  writeTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", writeTheme);
byId("model").addEventListener("change", (event) => showModel(models[event.target.selectedIndex]));
byId("second").addEventListener("change", (event) => showModel(chosen.model, event.target.value));
byId("tabs").addEventListener("keydown", onTabKey);
for (const name of Object.keys(PARTS)) byId(`tab-${name}`).addEventListener("click", () => showPart(name));
document.querySelector("main").addEventListener("input", remember);
addEventListener("hashchange", () => models.length && follow());
whenOpened((name) => {
  showPart(name);
  byId(`tab-${name}`).focus();
});
whenBack(() => (chosen.model ? PARTS[current].show() : loadModels()));

const preferred = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
showLanguage({ en: "en", zh: "zh" }[remembered.get("language")] ?? preferred);
writeTheme();
loadModels();
