"""Chinese translations of what commands print beside the answers of a model, by the English text in the code."""

# ruff: noqa: E501 -- texts are not split, and a Chinese character counts as two

SCORES = {  # score, rescore
    "{picked} of {lines} lines printed": "{lines} 行里打印了 {picked} 行",
    "The model's file holds no counts of its training text; the column frequency is empty.": (
        "模型文件里没有训练文本的词频，frequency 一列是空的。"
    ),
    " (unknown)": "（未登录词）",
    "rank": "名次",
    "bits": "比特",
    "the sum over all": "全部相加",
    "perplexity per token, ends of lines counted: exp(-ln p / tokens)": (
        "每词元的困惑度，行尾也算在内：exp(-ln p / 词元数)"
    ),
    "the same sum over the tokens that end no line, as SRILM defines it": (
        "同一个总和，除以行尾以外的词元数，按 SRILM 的定义"
    ),
    "bits per char": "每字符比特数",
    "-log2 p / characters, line ends included: compares models whatever their tokens are": (
        "-log2 p / 字符数，行尾也算在内：不论词元怎么切分，模型之间都能比"
    ),
    "{lines}, {tokens} ({ends} of them ends of lines), {oov} unknown (OOV), {characters}": (
        "{lines}，{tokens}（其中行尾 {ends} 个），未登录词（OOV）{oov} 个，{characters}"
    ),
    "blank lines, in none of these figures: {blank}": "空行 {blank} 行，以上各数都不包括",
    "with OOV": "含 OOV",
    "without OOV": "不含 OOV",
    "with OOV: an unknown word has the probability of <unk>; without: it is left out of sum and number": (
        "含 OOV：未登录词的概率取 <unk> 的概率；不含：未登录词既不计入总和，也不计入个数"
    ),
    "undefined": "无定义",
    "word errors": "词错误",
    "character errors": "字符错误",
    "rate": "错误率",
    "as they came": "原来的第一候选",
    "oracle": "最优候选",
    "chosen": "选出的候选",
    "before tuning": "调权重之前",
    "tuned": "调权重之后",
    "{lists} lists, {candidates} candidates; {words} words and {characters} characters in the references.": (
        "{lists} 个列表，{candidates} 个候选；参考文本共 {words} 个词、{characters} 个字符。"
    ),
    "{left} of the {texts} references in {name} have no list; they are not counted.": (
        "{name} 的 {texts} 条参考文本里，有 {left} 条没有对应的列表，不计入。"
    ),
    "{lines} line searches for the weights with the fewest errors in {measure} took {searching} s, after {scoring} s "
    "of scoring. For other lists:": (
        "为了让{measure}错误最少，沿直线搜索权重 {lines} 次，用时 {searching} 秒；此前打分用时 {scoring} 秒。用于别的列表："
    ),
    "Warning: every list has a single candidate, so nothing was chosen; {why}.": (
        "警告：每个列表都只有一个候选，没有什么可选；{why}。"
    ),
    "a line is a list, and its hypotheses are the candidates": "一行是一个列表，其中的 hypotheses 是候选",
    "lines of one list have one id, and it comes first": "同一个列表的各行以同一个 id 开头",
    "a blank line ends a list": "列表以空行结束",
    "Warning: {unknown} of the {tokens} tokens of these lists are unknown to the model.": (
        "警告：这些列表共 {tokens} 个词元，其中 {unknown} 个对模型来说是未登录词。"
    ),
    "Warning: {message}": "警告：{message}",
    "Warning: {n} bad lines in all.": "警告：不合格式的行一共有 {n} 行。",
}

EVALUATION = {
    "The model was trained on this text; a new text would be predicted less well.": (
        "模型就是用这份文本训练的；换一份没见过的文本，预测会差一些。"
    ),
    "{models} was trained on this text.": "{models} 是用这份文本训练的。",
    "{models} were trained on this text.": "{models} 都是用这份文本训练的。",
    " and ": " 和 ",
    "with </s> at each line's end": "每行末尾的 </s> 也算在内",
    "line ends included": "行尾也算在内",
    "tokens                    {tokens} ({unit}), {oov} of them unknown": (
        "词元                {tokens}（{unit}），其中未登录词 {oov} 个"
    ),
    "characters                {characters}, of {bytes} bytes in UTF-8": (
        "字符                {characters}，UTF-8 编码 {bytes} 字节"
    ),
    "nats per token            {figure}   (-ln p(text) / tokens)": (
        "每词元 nat          {figure}   （-ln p(文本) / 词元数）"
    ),
    "perplexity                {figure}   (exp(nats per token); OOV counted as <unk>)": (
        "困惑度              {figure}   （exp(每词元 nat)；未登录词算作 <unk>）"
    ),
    "perplexity excluding OOV  {figure}   (unknown words left out of the sum)": (
        "困惑度，不含 OOV    {figure}   （未登录词不计入总和）"
    ),
    "bits per character        {figure}   (-log2 p(text) / characters)": (
        "每字符比特数        {figure}   （-log2 p(文本) / 字符数）"
    ),
    "bits per byte             {figure}   (-log2 p(text) / bytes)": (
        "每字节比特数        {figure}   （-log2 p(文本) / 字节数）"
    ),
    "model": "模型",
    "perplexity": "困惑度",
    "weight": "权重",
    "size": "大小",
    "contexts": "上下文数",
    "mixture": "混合模型",
    "with a neural cache": "加上神经缓存",
    "dynamic evaluation": "动态评测",
    "{model} alone": "只用 {model}",
    "the model is both together: sum of weight x probability, weights found when it was trained": (
        "模型把两者合用：权重 x 概率再相加，权重是训练时求得的"
    ),
    "mixture: sum of weight x probability, weights {source}": "混合模型：权重 x 概率再相加，权重{source}",
    "found by EM on {texts}": "用 EM 在 {texts} 上求得",
    "as given": "由命令给定",
    "with a neural cache: part of the probability goes to the last {tokens} tokens except <unk>, more of it to those "
    "in contexts similar to the present one (theta {theta})": (
        "加上神经缓存：把一部分概率分给最近的 {tokens} 个词元（<unk> 除外），所处的上下文越像眼下的，分得越多（theta {theta}）"
    ),
    "dynamic evaluation: the model with a copy of its network that learns from every {window} tokens after it was "
    "measured on them (rule {rule}, lr {lr}); not comparable with one that only reads": (
        "动态评测：网络的副本每评测完 {window} 个词元，就从中学习一次（规则 {rule}，学习率 {lr}）；"
        "不能与只读不学的模型相比"
    ),
    "contexts: distinct contexts of n - 1 words that the n-gram model stores / that are possible": (
        "上下文数：n-gram 模型存下的、由 n - 1 个词组成的不同上下文 / 一共可能有的上下文"
    ),
    "size: of the arrays that a prediction needs; a file for --resume holds more": (
        "大小：只算预测要用的数组；能接 --resume 的文件还存着别的"
    ),
    "Warning: {texts} is a text that one of the models was trained on, so its weight is too high; give --tune a text "
    "that none of them has seen.": (
        "警告：{texts} 是其中一个模型的训练文本，它的权重会偏高；请给 --tune 一份哪个模型都没见过的文本。"
    ),
    "{texts} is not the text that the model was trained on: the baseline was trained on another text than the model.": (
        "{texts} 不是模型的训练文本：基线和模型是用不同的文本训练的。"
    ),
    "{path} has another vocabulary than the model: compare bits per character, not perplexities, which depend on what "
    "a token is and what is unknown.": (
        "{path} 的词表和模型的不同：请比较每字符比特数，不要比较困惑度；困惑度取决于怎么切分词元、哪些词未登录。"
    ),
}

DESCRIPTION = {  # info, and the names of models
    "A {model}": "{model}",
    "An {model}": "{model}",
    "bidirectional {network}": "双向 {network}",
    "{network} with a {ngram}": "{network} 加 {ngram}",
    "{model} with a cache of {tokens} tokens": "{model} 加 {tokens} 个词元的缓存",
    "mixture of {n} models": "{n} 个模型的混合",
    "{model} over {size} {units}, which {how}.": "{model}，词表有 {size} 个{units}，{how}。",
    "reads a text as one stream": "把文本连成一篇来读",
    "reads every line for itself": "每行单独来读",
    "It was imported ({imported}), so nothing is known of its training.": (
        "它是导入的（{imported}），所以不知道是怎么训练的。"
    ),
    "It has counted {tokens} tokens of {text}": "它统计了{text}的 {tokens} 个词元",
    "It has learnt from {tokens} tokens of {text}": "它学过{text}的 {tokens} 个词元",
    "{learnt}.": "{learnt}。",
    "{learnt}, in {passes} passes ({steps} steps){rest}.": "{learnt}，读了 {passes} 遍（{steps} 步）{rest}。",
    "; the training is not finished, --resume goes on with it": "；训练还没有结束，可以用 --resume 接着训练",
    "{name}": " {name} ",
    "a text of yours": "你的一份文本",
    "a text of yours (SHA-256 {digest}...)": "你的一份文本（SHA-256 {digest}...）",
    "On text held out from its training": "在训练时留出的文本上，",
    "On the text it was measured on": "在测过的文本上，",
    "pseudo-perplexity": "伪困惑度",
    "{where} its {measure} is {perplexity}": "{where}它的{measure}是 {perplexity}",
    "the network alone has {perplexity}": "单用网络是 {perplexity}",
    "a {order}-gram of the same text has {perplexity}": "同一份文本的 {order}-gram 是 {perplexity}",
    "token frequencies alone {perplexity}": "只看词元的频率是 {perplexity}",
    "{one} and {two}": "{one}，{two}",
    "{one}, {two}": "{one}，{two}",
    "{shown}.": "{shown}。",
    "{shown}; {others}.": "{shown}；{others}。",
    "The file was written on {date} at {time}.": "文件写于 {date} {time}。",
    "format": "格式",
    "kind": "种类",
    "bytes": "字节数",
    "level": "词元级别",
    "context": "上下文",
    "tokenizer": "分词器",
    "vocabulary": "词表",
    "cell": "单元",
    "activation": "激活函数",
    "bidirectional": "双向",
    "hidden_size": "隐藏单元数",
    "num_layers": "层数",
    "embedding_size": "词嵌入维数",
    "cutoffs": "分界",
    "tied": "共享权重",
    "parameters": "参数",
    "averaged_networks": "取平均的网络数",
    "mixed_ngram": "合用的 n-gram",
    "order": "阶数",
    "ngrams": "n-gram 数",
    "weights": "权重",
    "steps": "步数",
    "epochs_done": "读完的轮数",
    "finished": "已训练完",
    "best_nats_per_token": "最好的 nat/词元",
    "mixed_nats_per_token": "合用的 nat/词元",
    "training": "训练",
    "none: imported ({imported})": "没有：是导入的（{imported}）",
    ". Start one from this with --init-from; --resume cannot go on": "。可以用 --init-from 由它开始训练；不能用 --resume",
    "most frequent": "最常用的词元",
    "first words": "最前面的词元",
    "yes": "是",
    "no": "否",
    "{n} entries": "{n} 项",
}

PREDICTIONS = {  # predict, sample, fill, chat
    "No token matches --prefix, --allowed or the letters to complete.": (
        "没有词元符合 --prefix、--allowed 或要补全的字母。"
    ),
    "Bits for {token}, averaged over replacements of each token (░: against it)": (
        "各词元对 {token} 的支持（比特，对各种替换取平均；░ 表示反对）"
    ),
    "strongest change": "变化最大的替换",
    "with {substitute}: {answer} {probability}": "换成 {substitute}：{answer} {probability}",
    "Only {n} different texts were found.": "只找到 {n} 段不同的文字。",
    "Warning: no text will stop at {stop}: {why}. {advice}; --length ends a text, too.": (
        "警告：文字不会停在 {stop}：{why}。{advice}；--length 也能让文字结束。"
    ),
    "the model knows no token with {characters}": "模型的词元里没有 {characters}",
    "the model's tokens cannot form it": "模型的词元拼不出它",
    "Type --stop {text}": "请写 --stop {text}",
    "Type it as the training text has it": "请照训练文本里的样子写",
    "Nothing was found.": "什么也没找到。",
    "{model}, {size} {tokens}, {context}. Ctrl-D ends.": "{model}，{size} 个{tokens}，{context}。按 Ctrl-D 结束。",
    "{tokens}, {bits} bits, {mean} a token": "{tokens}，{bits} 比特，每词元 {mean}",
    "Tab take   ↑ ↓ mark another   Enter the model goes on   Ctrl-D end": (
        "Tab 采用   ↑ ↓ 换一个   Enter 让模型接着写   Ctrl-D 结束"
    ),
    "This model reads each line for itself, so --cache remembers tokens of the same line only.": (
        "这个模型每行单独来读，所以 --cache 只记得同一行的词元。"
    ),
}

PLOTS = {
    "loss (nats per token)": "损失（nat/词元）",
    "learning rate": "学习率",
    "gradient norm": "梯度范数",
    "tokens/s": "词元/秒",
    "train": "训练",
    "valid": "验证",
    "epoch": "轮",
    "seconds": "秒",
    "history": "训练记录",
    "best{loss}": "最好的损失{loss}",
    "nats per token": "nat/词元",
    "There is no file {name}; this is taken as the text itself.": "没有 {name} 这个文件，就把它当作文本本身。",
    "bits, mean of the last {n} tokens": "比特，最近 {n} 个词元的平均",
    "The most surprising tokens": "最出人意料的词元",
    "{tokens}, {mean} bits per token (perplexity {perplexity})": "{tokens}，每词元 {mean} 比特（困惑度 {perplexity}）",
    "The {n} most frequent tokens by {source}. Of the variance of these vectors, the axis to the right has {first} %, "
    "the axis up {second} %.": (
        "最常用的 {n} 个词元，位置取自 {source}。这些向量的方差，向右的轴占 {first} %，向上的轴占 {second} %。"
    ),
    " {n} of them are dots, since there was no room for their labels.": "其中 {n} 个放不下文字，画成了点。",
    "columns of {first}": "{first} 的列",
    "columns of {first} and {last}": "{first} 和 {last} 的列",
    "{name}: the steps go back {times}. What was done anew is shown, not what it replaced.": (
        "{name}：步数往回退了 {times}。图上是重新训练的部分，不是被它取代的部分。"
    ),
    "once": "1 次",
    "{n} times": "{n} 次",
    "{n} value": "{n} 个值",
    "{n} values": "{n} 个值",
    "{name}: {values} that should be numbers are none; they are left out.": (
        "{name}：有 {values}应该是数却不是，已略去。"
    ),
    "{name}: its last line, number {place}, is not complete and left out.": "{name}：最后一行（第 {place} 行）不完整，已略去。",
    "Saved {file}.": "已保存 {file}。",
    "No installed font has {shown}: {drawn} in Unicode. Install a font that has them; on Debian and Ubuntu: apt "
    "install {packages}": (
        "装好的字体里都没有 {shown}：{drawn}。请安装有这些字符的字体；在 Debian 和 Ubuntu 上：apt install {packages}"
    ),
    "{n} character is drawn as its number": "{n} 个字符画成了它的 Unicode 编号",
    "{n} characters are drawn as their numbers": "{n} 个字符画成了它们的 Unicode 编号",
}

FILES = {  # export, import, ngram
    "The {ngram} that is mixed with the network is left out: it is not in these formats.": (
        "和网络合用的 {ngram} 没有写进去：这些格式里没有它的位置。"
    ),
    "The {ngram} that is mixed with the network is left out: a page has none.": (
        "和网络合用的 {ngram} 没有写进去：网页里不带 n-gram。"
    ),
    "Saved {files}: {parameters} parameters; and {vocabulary}: {tokens} tokens.": (
        "已保存 {files}：{parameters} 个参数；还有 {vocabulary}：{tokens} 个词元。"
    ),
    "Saved {file}: {after} MB of {before} MB.": "已保存 {file}：{after} MB，原来是 {before} MB。",
    " It answers the same; --resume cannot go on with it, --init-from can start from it.": (
        "它的回答不变；不能再用 --resume 接着训练，可以用 --init-from 由它开始。"
    ),
    "{bits} bits for each parameter change the log probability of a token by {mean} nats on average and {largest} at "
    "most, and the mean by {worse}, in {tokens} tokens that the model wrote.": (
        "每个参数用 {bits} 位，词元的对数概率平均变化 {mean} nat，最多 {largest}；平均值变化 {worse}。"
        "以上是在模型写的 {tokens} 个词元上测得的。"
    ),
    "Saved {file}: {size} MB. Open it in a browser; it needs no server.": (
        "已保存 {file}：{size} MB。用浏览器打开即可，不需要服务器。"
    ),
    "Vocabulary  {size} {tokens}, context {context}": "词表        {size} 个{tokens}，上下文 {context}",
    "Model       n-grams of order {order}: {counts}": "模型        {order} 阶 n-gram：{counts}",
    ", adaptive softmax": "，自适应 softmax",
    "Network     {network}, {embedding}{output}; {parameters} parameters": (
        "网络        {network}，{embedding}{output}；{parameters} 个参数"
    ),
    "Text        {tokens} tokens": "文本        {tokens} 个词元",
    "Vocabulary  {size} {tokens}, covering {coverage} % of the text": (
        "词表        {size} 个{tokens}，覆盖文本的 {coverage} %"
    ),
    "Model       order {order}, trained in {seconds} s": "模型        {order} 阶，训练用时 {seconds} 秒",
    "n-grams": "n-gram 数",
    "contexts seen": "见过的上下文",
    "contexts possible": "可能的上下文",
    "Reading": "读取",
}

ANSWERS = SCORES | EVALUATION | DESCRIPTION | PREDICTIONS | PLOTS | FILES
