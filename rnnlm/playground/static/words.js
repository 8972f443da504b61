// Every word of the interface, in English and Chinese. {name} is replaced by a value.

const ENGLISH = {
  "language.name": "English",
  "language.other": "中文",
  "language.switch": "用中文显示 (show in Chinese)",
  model: "Model",
  "model.word": "words",
  "model.char": "characters",
  "model.token": "tokens",
  "model.facts.rnn": "{cell}, {layers} × {hidden} units, {vocabulary} {level}",
  "model.facts.rnn.both": "{cell} in both directions, {layers} × {hidden} units, {vocabulary} {level}",
  "model.facts.ngram": "n-gram, {vocabulary} {level}",
  dark: "Dark",
  parts: "Parts of the playground",
  "list.comma": ", ",
  example: "Let the model write one",
  working: "One moment …",
  shortcut: "Ctrl + Enter",
  "end of line": "end of the line",
  space: "space",
  tab: "tab",

  "tab.type": "Type",
  "tab.surprise": "Surprise",
  "tab.sample": "Write",
  "tab.rank": "Rank",
  "tab.fill": "Fill",
  "tab.neurons": "Neurons",

  "abilities.both":
    "This model reads in both directions, so it has no next word: it fills blanks and shows its neurons, nothing else.",
  "abilities.ngram": "This model is an n-gram: it counts, and has no neurons to show.",

  "type.lead": "What comes next? Write, and see what the model expects.",
  "type.label": "Your text",
  "type.placeholder": "Write here …",
  "type.hint": "Tab takes the first, a click takes any. Escape, then Tab, leaves the field.",
  "type.candidates": "What may come next, the most probable first",
  "type.spoken": "Next: {list}",
  "type.unknown": "Unknown to the model: {list}",

  "surprise.lead": "The less the model expected a token, the deeper its colour and the thicker its line.",
  "surprise.label": "Text to measure",
  "surprise.placeholder": "Write or paste a text …",
  "surprise.figures": "Perplexity {perplexity} · {bits} bits per character · {count} tokens",
  "surprise.painting": "The text, token by token; the arrow keys go from one to the next",
  "surprise.token": "{token}: {bits} bits, rank {rank}",
  "surprise.bits": "{bits} bits of surprise",
  "surprise.rank": "Number {rank} among what was expected, at {probability}",
  "surprise.unknown": "Unknown to the model",
  "surprise.alternatives": "Expected here",
  "surprise.hint": "Point at a token, or go there with the arrow keys, to see what was expected in its place.",
  "surprise.least": "expected",
  "surprise.most": "surprising",

  "sample.lead": "The model writes on from where you begin.",
  "sample.prompt": "Beginning",
  "sample.placeholder": "A beginning, or nothing …",
  "sample.temperature": "Temperature",
  "sample.temperature.meaning": "low: the most probable, high: adventurous",
  "sample.topk": "Top k",
  "sample.topk.meaning": "only the k most probable",
  "sample.topp": "Top p",
  "sample.topp.meaning": "only the best that together reach this share",
  "sample.length": "Length",
  "sample.length.meaning": "tokens at most",
  "sample.all": "all",
  "sample.start": "Write",
  "sample.stop": "Stop",
  "sample.output": "What the model wrote",
  "sample.writing": "Writing …",
  "sample.done": "Finished: {count} characters.",
  "sample.stopped": "Stopped: {count} characters.",

  "rank.lead": "Which of these would the model rather say? One candidate a line.",
  "rank.label": "Candidates, one a line",
  "rank.placeholder": "One candidate a line …",
  "rank.start": "Rank",
  "rank.candidates": "The candidates, the most probable first",
  "rank.detail": "ln p = {nats} · {tokens} tokens",
  "rank.detail.unknown": "ln p = {nats} · {tokens} tokens, {oov} unknown",
  "rank.state": "{count} candidates ranked",
  "rank.empty": "Write at least one candidate.",

  "fill.lead": "What is missing? Write ____ for it.",
  "fill.label": "Sentence with blanks, written as four underscores",
  "fill.placeholder": "A sentence with ____ in it …",
  "fill.start": "Fill",
  "fill.blank": "Insert ____",
  "fill.candidates": "What may stand there, the most probable first",
  "fill.state": "{count} fillings",
  "fill.empty": "There is no blank in the sentence. Write ____ where something is missing.",

  "neurons.lead": "What one hidden unit does while the model reads.",
  "neurons.label": "Text for the model to read",
  "neurons.placeholder": "Write or paste a text …",
  "neurons.layer": "Layer",
  "neurons.unit": "Unit",
  "neurons.size": "{layers} layers of {units} units",
  "neurons.size.one": "1 layer of {units} units",
  "neurons.found": "Units that follow something in the text, with their correlation (a short text is lengthened by the model first):",
  "neurons.none": "No unit follows a property of the text clearly. A longer text shows more.",
  "neurons.found.unit": "unit {unit}",
  "neurons.found.layer": "layer {layer}, unit {unit}",
  "neurons.figures": "Layer {layer}, unit {unit}: from {low} to {high}",
  "neurons.painting": "The text, token by token; the arrow keys go from one to the next",
  "neurons.token": "{token}: {activation}",
  "neurons.activation": "Activation {activation}",
  "neurons.hint": "Point at a token, or go there with the arrow keys, to see its figure.",
  "neurons.negative": "−1, line below",
  "neurons.positive": "+1, line above",
  "property.inside_quotes": "inside quotes",
  "property.inside_brackets": "inside brackets",
  "property.line_position": "place in the line",
  "property.word_position": "place in the word",
  "property.after_space": "after a space",
  "property.capital": "capital letters",
  "property.digit": "digits",
  "property.punctuation": "punctuation",
  "property.vowel": "vowels",
  "property.han": "Chinese characters",
  "property.line_end": "end of a line",
  "property.token_length": "length of the token",

  "key.label": "Key",
  "key.use": "Use it",

  "error.gone": "The server does not answer. Is rnnlm serve still running? This page goes on as soon as it is back.",
  "error.key": "This server asks for the key that it was started with (--api-key).",
  "error.busy": "The server is busy. Try again in a moment.",
  "error.server": "{message}",
  "error.strange": "The server answered with status {status} and no explanation.",
  "error.broken": "The answer broke off before its end. Try again.",
};

const CHINESE = {
  "language.name": "中文",
  "language.other": "English",
  "language.switch": "Show in English（用英文显示）",
  model: "模型",
  "model.word": "个词",
  "model.char": "个字符",
  "model.token": "个词元",
  "model.facts.rnn": "{cell}，{layers} × {hidden} 个单元，{vocabulary} {level}",
  "model.facts.rnn.both": "双向 {cell}，{layers} × {hidden} 个单元，{vocabulary} {level}",
  "model.facts.ngram": "n 元模型，{vocabulary} {level}",
  dark: "深色",
  parts: "各个部分",
  "list.comma": "、",
  example: "让模型写一段",
  working: "请稍候……",
  shortcut: "Ctrl + Enter",
  "end of line": "行尾",
  space: "空格",
  tab: "制表符",

  "tab.type": "输入",
  "tab.surprise": "意外",
  "tab.sample": "写作",
  "tab.rank": "排序",
  "tab.fill": "填空",
  "tab.neurons": "神经元",

  "abilities.both": "这是双向模型，没有“下一个词”：它只能填空和展示神经元。",
  "abilities.ngram": "这是 n 元模型：它只计数，没有神经元可看。",

  "type.lead": "接下来是什么？写几个字，看看模型的预期。",
  "type.label": "你的文字",
  "type.placeholder": "在这里写……",
  "type.hint": "按 Tab 采用第一个，点击采用任意一个。先按 Escape 再按 Tab 可离开输入框。",
  "type.candidates": "接下来可能出现的，概率最高的在前",
  "type.spoken": "接下来：{list}",
  "type.unknown": "模型不认识：{list}",

  "surprise.lead": "模型越没有料到，颜色越深，下划线越粗。",
  "surprise.label": "要衡量的文字",
  "surprise.placeholder": "输入或粘贴一段文字……",
  "surprise.figures": "困惑度 {perplexity} · 每字符 {bits} 比特 · {count} 个词元",
  "surprise.painting": "逐个词元显示的文字，用方向键移动",
  "surprise.token": "{token}：{bits} 比特，第 {rank} 位",
  "surprise.bits": "意外程度 {bits} 比特",
  "surprise.rank": "在模型的预期中排第 {rank}，概率 {probability}",
  "surprise.unknown": "模型不认识",
  "surprise.alternatives": "此处的预期",
  "surprise.hint": "指向一个词元，或用方向键移到那里，可以看到模型原本的预期。",
  "surprise.least": "意料之中",
  "surprise.most": "意料之外",

  "sample.lead": "你开个头，模型接着写。",
  "sample.prompt": "开头",
  "sample.placeholder": "写个开头，也可以留空……",
  "sample.temperature": "温度",
  "sample.temperature.meaning": "低：只选最可能的；高：更大胆",
  "sample.topk": "Top k",
  "sample.topk.meaning": "只在概率最高的 k 个中选",
  "sample.topp": "Top p",
  "sample.topp.meaning": "只在累计达到此概率的最优者中选",
  "sample.length": "长度",
  "sample.length.meaning": "最多的词元数",
  "sample.all": "全部",
  "sample.start": "开始写",
  "sample.stop": "停止",
  "sample.output": "模型写的文字",
  "sample.writing": "正在写……",
  "sample.done": "写完了，共 {count} 个字符。",
  "sample.stopped": "已停止，共 {count} 个字符。",

  "rank.lead": "模型觉得哪一句更自然？每行一个候选。",
  "rank.label": "候选，每行一个",
  "rank.placeholder": "每行一个候选……",
  "rank.start": "排序",
  "rank.candidates": "候选，概率最高的在前",
  "rank.detail": "ln p = {nats} · {tokens} 个词元",
  "rank.detail.unknown": "ln p = {nats} · {tokens} 个词元，其中 {oov} 个不认识",
  "rank.state": "已为 {count} 个候选排序",
  "rank.empty": "请至少写一个候选。",

  "fill.lead": "缺了什么？用 ____ 表示空缺。",
  "fill.label": "带空缺的句子，空缺写作四个下划线",
  "fill.placeholder": "带有 ____ 的句子……",
  "fill.start": "填空",
  "fill.blank": "插入 ____",
  "fill.candidates": "可以填入的内容，概率最高的在前",
  "fill.state": "{count} 种填法",
  "fill.empty": "句子里没有空缺。请在缺少内容的地方写 ____。",

  "neurons.lead": "模型阅读时，一个隐藏单元在做什么。",
  "neurons.label": "给模型读的文字",
  "neurons.placeholder": "输入或粘贴一段文字……",
  "neurons.layer": "层",
  "neurons.unit": "单元",
  "neurons.size": "{layers} 层，每层 {units} 个单元",
  "neurons.size.one": "1 层，{units} 个单元",
  "neurons.found": "与文字的某种特征相关的单元及相关系数（文字太短时，先由模型续写）：",
  "neurons.none": "没有单元与这段文字的特征明显相关。文字长一些会看到更多。",
  "neurons.found.unit": "单元 {unit}",
  "neurons.found.layer": "第 {layer} 层单元 {unit}",
  "neurons.figures": "第 {layer} 层单元 {unit}：从 {low} 到 {high}",
  "neurons.painting": "逐个词元显示的文字，用方向键移动",
  "neurons.token": "{token}：{activation}",
  "neurons.activation": "激活值 {activation}",
  "neurons.hint": "指向一个词元，或用方向键移到那里，可以看到数值。",
  "neurons.negative": "−1，线在下",
  "neurons.positive": "+1，线在上",
  "property.inside_quotes": "引号内",
  "property.inside_brackets": "括号内",
  "property.line_position": "行内位置",
  "property.word_position": "词内位置",
  "property.after_space": "空格之后",
  "property.capital": "大写字母",
  "property.digit": "数字",
  "property.punctuation": "标点",
  "property.vowel": "元音",
  "property.han": "汉字",
  "property.line_end": "行尾",
  "property.token_length": "词的长度",

  "key.label": "密钥",
  "key.use": "使用",

  "error.gone": "服务器没有响应。rnnlm serve 还在运行吗？它恢复后，页面会自动继续。",
  "error.key": "此服务器需要启动时给定的密钥（--api-key）。",
  "error.busy": "服务器正忙，请稍后再试。",
  "error.server": "服务器说：{message}",
  "error.strange": "服务器返回了状态 {status}，没有说明原因。",
  "error.broken": "回答中途断开了，请再试一次。",
};

export const LANGUAGES = { en: ENGLISH, zh: CHINESE };
let language = "en";

export function currentLanguage() {
  return language;
}

export function chooseLanguage(code) {
  language = code;
}

/** The words for a key in the present language, with {name} replaced; undefined where there are none. */
export function words(key, values = {}) {
  return LANGUAGES[language][key]?.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Gives all elements that name their words (data-word...) the words of the present language. */
export function writeWords(root) {
  for (const element of root.querySelectorAll("[data-word]")) element.textContent = words(element.dataset.word);
  for (const element of root.querySelectorAll("[data-word-label]")) {
    element.setAttribute("aria-label", words(element.dataset.wordLabel));
  }
  for (const element of root.querySelectorAll("[data-word-placeholder]")) {
    element.placeholder = words(element.dataset.wordPlaceholder);
  }
}

/** A number as it is read: few digits, grouped, in the present language. */
export function figure(value, digits = 2) {
  if (value === null || !Number.isFinite(value)) return "∞";
  const format = new Intl.NumberFormat(language, { maximumFractionDigits: digits, minimumFractionDigits: digits });
  return format.format(value).replace("-", "−");
}

export function count(value) {
  return new Intl.NumberFormat(language).format(value);
}

/** A probability in percent, with two digits that matter. */
export function percent(value) {
  if (value > 0 && value < 0.0001) return "< 0.01\u00a0%";
  const digits = value >= 0.0995 ? 0 : value >= 0.00995 ? 1 : 2;
  return `${figure(100 * value, digits)}\u00a0%`;
}

const MARKS = { " ": "␣", "\n": "↵", "\t": "⇥", "\u3000": "␣" };
const NAMES = { " ": "space", "\n": "end of line", "\t": "tab", "\u3000": "space" };

/** A token as it is shown: white space by a mark. */
export function visible(token) {
  return /^\s+$/.test(token) ? [...token].map((each) => MARKS[each] ?? "␣").join("") : token;
}

/** A token as it is spoken: white space by its name. */
export function spoken(token) {
  return /^\s+$/.test(token) ? words(NAMES[token[0]] ?? "space") : token;
}
