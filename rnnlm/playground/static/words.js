// Every word of the interface, in English and Chinese. {name} is replaced by a value, {name|one|more} by one or the other.

const ENGLISH = {
  "language.name": "English",
  "language.other": "中文",
  "language.switch": "用中文显示 (show in Chinese)",
  model: "Model",
  "model.word": "words",
  "model.char": "characters",
  "model.token": "tokens",
  "model.facts.rnn": "{cell}, {layers} × {hidden} {hidden|unit|units}, {vocabulary} {level}",
  "model.facts.rnn.both": "{cell} in both directions, {layers} × {hidden} {hidden|unit|units}, {vocabulary} {level}",
  "model.facts.ngram": "n-gram, {vocabulary} {level}",
  dark: "Dark",
  parts: "Parts of the playground",
  "list.comma": ", ",
  example: "Let the model write one",
  empty: "Nothing to read yet. Write a sentence above, or let the model write one.",
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
  "type.hint.touch": "Touch what is to be taken.",
  "type.candidates": "What may come next, the most probable first",
  "type.ahead": "Several tokens ahead, the most probable first:",
  "type.spoken": "Next: {list}",
  "type.unknown": "Unknown to the model: {list}",

  "surprise.lead": "The less the model expected a token, the deeper its colour and the thicker its line.",
  "surprise.label": "Text to measure",
  "surprise.placeholder": "Write or paste a text …",
  "surprise.figures": "Perplexity {perplexity} · {bits} bits per character · {count} {count|token|tokens}",
  "surprise.figures.unknown":
    "Perplexity {perplexity} · {bits} bits per character · {count} {count|token|tokens}, {oov} unknown",
  "surprise.painting": "The text, token by token; the arrow keys go from one to the next",
  "surprise.token": "{token}: {bits} bits, rank {rank}",
  "surprise.bits": "{bits} bits of surprise",
  "surprise.rank": "Number {rank} among what was expected, at {probability}",
  "surprise.unknown": "Unknown to the model",
  "surprise.alternatives": "Expected here",
  "surprise.hint": "Point at a token, or go there with the arrow keys, to see what was expected in its place.",
  "surprise.hint.touch": "Touch a token to see what was expected in its place.",
  "surprise.write": "Write on from it",
  "surprise.scale": "Bits of surprise:",
  "surprise.score": "ln p = {nats} · log₁₀ p = {log10} · log₂ p = {bits} · {each} bits per token",
  "surprise.score.unknown":
    "ln p = {nats} · log₁₀ p = {log10} · log₂ p = {bits} · {each} bits per token · perplexity without the unknown {known}",
  "surprise.curve": "Along the text, in bits; the line across is the mean",
  "surprise.curve.name": "Surprise along the text: {mean} bits on average, most at {token}, {most} bits",
  "surprise.ranks": "How high each token stood among what was expected",
  "surprise.ranks.first": "first",
  "surprise.ranks.between": "{first} to {last}",
  "surprise.ranks.rest": "{first} and lower",

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
  "sample.again": "Write another",
  "sample.settings": "Settings",
  "sample.seed": "Seed",
  "sample.seed.random": "random",
  "sample.seed.used": "Seed {seed}",
  "sample.count": "Texts at once",
  "sample.colour": "Colour by probability",
  "sample.copy": "Copy",
  "sample.copied": "Copied",
  "sample.go.on": "Write on",
  "sample.take": "To Surprise",
  "sample.writing": "Writing …",
  "sample.done": "Finished: {count} {count|character|characters}.",
  "sample.stopped": "Stopped: {count} {count|character|characters}.",

  "rank.lead": "Which of these would the model rather say? One candidate a line.",
  "rank.label": "Candidates, one a line",
  "rank.placeholder": "One candidate a line …",
  "rank.start": "Rank",
  "rank.candidates": "The candidates, the most probable first",
  "rank.detail": "ln p = {nats} · {tokens} {tokens|token|tokens}",
  "rank.detail.unknown": "ln p = {nats} · {tokens} {tokens|token|tokens}, {oov} unknown",
  "rank.detail.total":
    "ln p = {nats} · {tokens} {tokens|token|tokens}, {oov} unknown; with the penalty for unknown words {total}",
  "rank.state": "{count} {count|candidate|candidates} ranked",
  "rank.empty": "Write at least one candidate.",

  "fill.lead": "What is missing? Write ____ for it.",
  "fill.label": "Sentence with blanks, written as four underscores",
  "fill.placeholder": "A sentence with ____ in it …",
  "fill.start": "Fill",
  "fill.blank": "Insert ____",
  "fill.candidates": "What may stand there, the most probable first",
  "fill.state": "{count} {count|filling|fillings}",
  "fill.empty": "There is no blank in the sentence. Write ____ where something is missing.",

  "neurons.lead": "What one hidden unit does while the model reads.",
  "neurons.label": "Text for the model to read",
  "neurons.placeholder": "Write or paste a text …",
  "neurons.layer": "Layer",
  "neurons.unit": "Unit",
  "neurons.size": "{layers} layers of {units} {units|unit|units}",
  "neurons.size.one": "1 layer of {units} {units|unit|units}",
  "neurons.wrong": "There is no such unit: layers are numbered 1 to {layer}, units 0 to {unit}.",
  "neurons.wrong.one": "There is no such unit: the only layer is 1, its units are numbered 0 to {unit}.",
  "neurons.found": "Units that follow something in the text, with their correlation (a short text is lengthened by the model first):",
  "neurons.none": "No unit follows a property of the text clearly. A longer text shows more.",
  "neurons.found.unit": "unit {unit}",
  "neurons.found.layer": "layer {layer}, unit {unit}",
  "neurons.figures": "Layer {layer}, unit {unit}: from {low} to {high}",
  "neurons.painting": "The text, token by token; the arrow keys go from one to the next",
  "neurons.token": "{token}: {activation}",
  "neurons.activation": "Activation {activation}",
  "neurons.hint": "Point at a token, or go there with the arrow keys, to see its figure.",
  "neurons.hint.touch": "Touch a token to see its figure.",
  "neurons.map": "All units of the layer over the text: a row for each unit, a column for each token",
  "neurons.map.name": "Activations of the {units} units of layer {layer} after each of {tokens} tokens",
  "neurons.part": "The first {shown} of {of} tokens.",
  "neurons.search": "Find units for what is selected",
  "neurons.search.hint": "Select a stretch of the text above: units that are high there and low elsewhere.",
  "neurons.search.found": "Units that are high in “{text}”, with their means there / elsewhere:",
  "neurons.search.none": "Nothing is selected. Select a few words in the text above.",
  "neurons.contexts": "Where {unit} is highest",
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
  "error.slow": "The answer took longer than a minute and was given up. Ask for less, or try again later.",
  "error.server": "{message}",
  "error.too_long": "The text has {count} characters; at most {most} are read.",
  "error.too_long.one": "Candidate {place} has {count} characters; at most {most} are read.",
  "error.too_many": "There are {count} candidates; at most {most} are ranked at a time.",
  "error.too_large": "The text is too large to be sent. Give a shorter one.",
  "error.too_slow": "The text did not arrive at the server within {seconds} s. Try again.",
  "error.answer_too_large": "The answer would be too large to be sent. Ask for less.",
  "error.half_character": "The text has half a character in it. Delete what looks like �, and write it again.",
  "error.timeout": "This took longer than {seconds} s and was given up. Ask for less, or try again later.",
  "error.memory": "The server's memory is used up. Ask for less.",
  "error.model_not_found": "The server no longer has the model {model}. Load this page again.",
  "error.no_unit": "There is no such unit: the model has {layers} {layers|layer|layers} of {units} {units|unit|units}.",
  "error.no_blank": "There is no blank in the sentence. Write ____ where something is missing.",
  "error.no_network": "{message}",
  "error.bidirectional": "This model reads in both directions, so it has no next word.",
  "error.tokenizer": "{message}",
  "error.foreign_host": "{message}",
  "error.foreign_origin": "{message}",
  "error.failed": "{message}",
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
  empty: "还没有文字。在上面写一句，或让模型写一段。",
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
  "type.hint.touch": "点一下即可采用。",
  "type.candidates": "接下来可能出现的，概率最高的在前",
  "type.ahead": "往后几步，概率最高的在前：",
  "type.spoken": "接下来：{list}",
  "type.unknown": "模型不认识：{list}",

  "surprise.lead": "模型越没有料到，颜色越深，下划线越粗。",
  "surprise.label": "要衡量的文字",
  "surprise.placeholder": "输入或粘贴一段文字……",
  "surprise.figures": "困惑度 {perplexity} · 每字符 {bits} 比特 · {count} 个词元",
  "surprise.figures.unknown": "困惑度 {perplexity} · 每字符 {bits} 比特 · {count} 个词元，其中 {oov} 个不认识",
  "surprise.painting": "逐个词元显示的文字，用方向键移动",
  "surprise.token": "{token}：{bits} 比特，第 {rank} 位",
  "surprise.bits": "意外程度 {bits} 比特",
  "surprise.rank": "在模型的预期中排第 {rank}，概率 {probability}",
  "surprise.unknown": "模型不认识",
  "surprise.alternatives": "此处的预期",
  "surprise.hint": "指向一个词元，或用方向键移到那里，可以看到模型原本的预期。",
  "surprise.hint.touch": "点一个词元，可以看到模型原本的预期。",
  "surprise.write": "从这里接着写",
  "surprise.scale": "意外程度（比特）：",
  "surprise.score": "ln p = {nats} · log₁₀ p = {log10} · log₂ p = {bits} · 每词元 {each} 比特",
  "surprise.score.unknown":
    "ln p = {nats} · log₁₀ p = {log10} · log₂ p = {bits} · 每词元 {each} 比特 · 不计不认识的词元，困惑度 {known}",
  "surprise.curve": "沿着文字的意外程度（比特），横线是平均值",
  "surprise.curve.name": "沿着文字的意外程度：平均 {mean} 比特，最高在“{token}”，{most} 比特",
  "surprise.ranks": "每个词元在预期中的名次",
  "surprise.ranks.first": "第一",
  "surprise.ranks.between": "{first} 到 {last}",
  "surprise.ranks.rest": "{first} 以后",

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
  "sample.again": "再写一篇",
  "sample.settings": "设置",
  "sample.seed": "随机种子",
  "sample.seed.random": "随机",
  "sample.seed.used": "种子 {seed}",
  "sample.count": "同时写几篇",
  "sample.colour": "按概率着色",
  "sample.copy": "复制",
  "sample.copied": "已复制",
  "sample.go.on": "接着写",
  "sample.take": "看意外",
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
  "rank.detail.total": "ln p = {nats} · {tokens} 个词元，其中 {oov} 个不认识；计入生词罚分后为 {total}",
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
  "neurons.wrong": "没有这个单元：层的编号从 1 到 {layer}，单元的编号从 0 到 {unit}。",
  "neurons.wrong.one": "没有这个单元：只有第 1 层，单元的编号从 0 到 {unit}。",
  "neurons.found": "与文字的某种特征相关的单元及相关系数（文字太短时，先由模型续写）：",
  "neurons.none": "没有单元与这段文字的特征明显相关。文字长一些会看到更多。",
  "neurons.found.unit": "单元 {unit}",
  "neurons.found.layer": "第 {layer} 层单元 {unit}",
  "neurons.figures": "第 {layer} 层单元 {unit}：从 {low} 到 {high}",
  "neurons.painting": "逐个词元显示的文字，用方向键移动",
  "neurons.token": "{token}：{activation}",
  "neurons.activation": "激活值 {activation}",
  "neurons.hint": "指向一个词元，或用方向键移到那里，可以看到数值。",
  "neurons.hint.touch": "点一个词元，可以看到数值。",
  "neurons.map": "这一层的所有单元：每行一个单元，每列一个词元",
  "neurons.map.name": "第 {layer} 层的 {units} 个单元在 {tokens} 个词元之后的激活值",
  "neurons.part": "共 {of} 个词元，只显示前 {shown} 个。",
  "neurons.search": "为选中的文字找单元",
  "neurons.search.hint": "在上面的文字里选中一段：在那里高、在别处低的单元。",
  "neurons.search.found": "在“{text}”处高的单元，以及那里 / 别处的平均值：",
  "neurons.search.none": "还没有选中文字。请在上面的文字里选中几个词。",
  "neurons.contexts": "{unit}在哪里最高",
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
  "error.slow": "等了一分钟还没有回答，已放弃。请减少内容，或稍后再试。",
  "error.server": "服务器拒绝了这个请求（状态 {status}，代码 {code}）。",
  "error.too_long": "文字有 {count} 个字符，最多可读 {most} 个。",
  "error.too_long.one": "第 {place} 个候选有 {count} 个字符，最多可读 {most} 个。",
  "error.too_many": "有 {count} 个候选，一次最多可排 {most} 个。",
  "error.too_large": "文字太大，无法发送，请缩短。",
  "error.too_slow": "文字没有在 {seconds} 秒内传到服务器，请再试一次。",
  "error.answer_too_large": "回答太大，无法发送。请减少内容。",
  "error.half_character": "文字里有半个字符。请删去显示为 � 的地方，重新输入。",
  "error.timeout": "超过 {seconds} 秒还没有算完，已放弃。请减少内容，或稍后再试。",
  "error.memory": "服务器的内存已用完，请减少内容。",
  "error.model_not_found": "服务器上已经没有模型 {model}，请重新载入此页面。",
  "error.no_unit": "没有这个单元：模型有 {layers} 层，每层 {units} 个单元。",
  "error.no_blank": "句子里没有空缺。请在缺少内容的地方写 ____。",
  "error.no_network": "这个模型没有神经网络，无法这样使用。",
  "error.bidirectional": "这是双向模型，没有“下一个词”。",
  "error.tokenizer": "服务器上的分词程序与模型不符，无法切分这段文字。请在词与词之间加空格，或按模型的要求安装 jieba。",
  "error.foreign_host": "服务器不接受这个地址。请用它启动时显示的地址打开此页面，或在启动时加上 --allow-host。",
  "error.foreign_origin": "服务器不接受来自其他网站的请求。",
  "error.failed": "服务器出错了，原因见运行它的终端。",
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

/** The words for a key in the present language, with {name} and {name|one|more} replaced; undefined without any. */
export function words(key, values = {}) {
  return LANGUAGES[language][key]?.replace(/\{(\w+)(?:\|(\w+)\|(\w+))?\}/g, (whole, name, one, more) =>
    one ? (String(values[name]) === "1" ? one : more) : (values[name] ?? whole),
  );
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

export const LEAST_SHOWN = 0.0001; // probability that is shown with a figure

/** A probability in percent, with two digits that matter. */
export function percent(value) {
  if (value > 0 && value < LEAST_SHOWN) return "< 0.01\u00a0%";
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
