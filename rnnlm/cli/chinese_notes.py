"""Chinese translations of advice and of notes on texts and files, by the English text in the code."""

# ruff: noqa: E501 -- texts are not split, and a Chinese character counts as two

ADVICE = {
    "Try --lr {lower} (it is {lr}).": "试试 --lr {lower}（现在是 {lr}）。",
    "Try --lr {lower} (it is {lr}) or --clip 1.": "试试 --lr {lower}（现在是 {lr}），或者 --clip 1。",
    "The learning rate is too high: the loss exploded {n} times. {remedy}": "学习率太大：损失爆炸了 {n} 次。{remedy}",
    "The learning rate is too high: the training loss is {loss}, above {what}, {limit}. {remedy}": (
        "学习率太大：训练损失是 {loss}，高于{what} {limit}。{remedy}"
    ),
    "its lowest": "此前的最低值",
    "what the token frequencies alone give": "只看词元频率的损失",
    "Overfitting: since step {step} the valid loss rose from {best} to {last} while the training loss fell from {then} "
    "to {now}. The model of step {step} is kept. {remedy}{unlike}": (
        "过拟合：从第 {step} 步起，验证损失从 {best} 升到 {last}，而训练损失从 {then} 降到 {now}。"
        "保留的是第 {step} 步的模型。{remedy}{unlike}"
    ),
    "Try a higher --dropout, a smaller --hidden-size or more text.": "试试更大的 --dropout、更小的 --hidden-size，或者更多的文本。",
    "Try a higher --dropout or more text.": "试试更大的 --dropout，或者更多的文本。",
    " Or, if the held-out end of the text is unlike the rest, try --context sentence or --valid FILE.": (
        "如果留出的文本末尾与其余部分不像，也可以试试 --context sentence 或 --valid FILE。"
    ),
    " Or, if the held-out end of the text is unlike the rest, try --valid FILE.": (
        "如果留出的文本末尾与其余部分不像，也可以试试 --valid FILE。"
    ),
    "Underfitting: the {name} loss, {loss}, is {how} below the {unigram} that the token frequencies alone give. "
    "{remedy}": "欠拟合：{name}损失是 {loss}，{how}低于只看词元频率的 {unigram}。{remedy}",
    "hardly": "几乎没有",
    "not": "没有",
    "Try --lr {higher} (it is {lr}) or a longer training.": "试试 --lr {higher}（现在是 {lr}），或者训练得更久。",
    "Try a longer training.": "试试训练得更久。",
    "{share} % of the {where} tokens are not in the vocabulary. Try {remedies}.": (
        "{where}部分有 {share} % 的词元不在词表里。试试{remedies}。"
    ),
    "held-out": "留出",
    "{one} or {two}": "{one}，或者{two}",
    "--level char": " --level char",
    "--init-vocabulary map": " --init-vocabulary map",
    "a larger vocabulary (--vocab-size, --min-count)": "更大的词表（--vocab-size、--min-count）",
    "more text": "更多的文本",
    "The training text has {tokens} tokens; with less than {smallest} {units} a recurrent network learns little. Try "
    "more text or an n-gram model (rnnlm ngram train).": (
        "训练文本有 {tokens} 个词元；不到 {smallest} 个{units}，循环神经网络学不到多少。"
        "试试更多的文本，或者 n-gram 模型（rnnlm ngram train）。"
    ),
}

TEXTS = {
    "Warning: this model reads {read}: as text that it does not know, not as marks. Take them out, or train with "
    "--level token, for which <s> and </s> are the ends of a sentence and <unk> is the unknown word.": (
        "警告：这个模型不认标记，把它们当成不认识的文字：{read}。请去掉它们，或者用 --level token 训练，"
        "那时 <s> 和 </s> 是句子的两端，<unk> 是未登录词。"
    ),
    "{mark} as {tokens}": "{mark} 读作 {tokens}",
    "{one}; {two}": "{one}；{two}",
    "More of the text is known in {form}; convert it to that first.": "换成{form}，文本里认识的词更多；请先转换。",
    "the Unicode normalization form {form}": " Unicode 规范形式 {form}",
    "lower case": "小写",
    "upper case": "大写",
    "{name} is not UTF-8; it is read as {encoding}. If that is wrong, use --encoding.": (
        "{name} 不是 UTF-8，按 {encoding} 读入。如果不对，请用 --encoding 指定。"
    ),
    "The text looks tokenised already: {shown} ... stand in it. Level word cuts such tokens; with {remedy} whatever "
    "stands between spaces is a token, <unk> is the unknown word, and <s> </s> are the ends of a sentence.": (
        "文本好像已经分过词：里面有 {shown} ...。level word 会把这样的词元切开；用 {remedy} 时，"
        "空格之间的就是一个词元，<unk> 是未登录词，<s> </s> 是句子的两端。"
    ),
    "The cache of this text in {folder} was damaged; it is made anew.": "{folder} 里这份文本的缓存坏了，重新生成。",
    "The cache in {folder} cannot be written ({reason}); the ids are not kept.": (
        "{folder} 里的缓存写不进去（{reason}），词元编号不保存。"
    ),
    "{n} more files are read in such ways.": "还有 {n} 个文件也是这样读的。",
    "{folder}: left out 1 file that is no .txt{or_link}: {names}.": "{folder}：有 1 个文件不是 .txt{or_link}，没有读：{names}。",
    "{folder}: left out {n} files that are no .txt{or_link}: {names}.": (
        "{folder}：有 {n} 个文件不是 .txt{or_link}，没有读：{names}。"
    ),
    ", or a link to nothing": "，或者是指向空处的链接",
    "{listed} and {n} more": "{listed}，还有 {n} 个",
    "{name} holds subtitles: their numbers, times and tags are left out.": "{name} 是字幕：编号、时间和标签都去掉。",
    "{name} is HTML: its text is read, and tags, scripts and styles are left out.": (
        "{name} 是 HTML：只读文字，标签、脚本和样式都去掉。"
    ),
    "{name} holds tags of HTML among its text; they are read as text. Save the text alone to leave them out.": (
        "{name} 的文字里夹着 HTML 标签，按文字读入。要去掉它们，请只保存文字。"
    ),
    "{name} is {kind}: its column {column} is read": "{name} 是 {kind}：读 {column} 一列",
    "{n} row has": "{n} 行",
    "{n} rows have": "{n} 行",
    "{rows} {what}": "{rows}{what}",
    "no text there": "在那里没有文字",
    "more or fewer cells than the first": "的格数和第一行不同",
    "{said}.": "{said}。",
    "{name} is {kind} and is read as it is, with all its columns: {columns}. Choose one with --column{how}.": (
        "{name} 是 {kind}，原样读入所有的列：{columns}。可以用 --column 选一列{how}。"
    ),
    ", by name or, from 1 on, number": "，写列名或者从 1 开始的列号",
    "{name} is no table, so it has no column {column}; it is read as it is.": "{name} 不是表格，没有 {column} 这一列；原样读入。",
    "{name} is read as plain text: {reason}.": "{name} 按纯文本读入：{reason}。",
    "its rows have one column, or not all as many; --column NAME reads one": (
        "各行只有一列，或者列数不一；用 --column NAME 可以读其中一列"
    ),
    "it is not a page as a whole. Tags in it, if there are any, are read as text": (
        "它不是一个完整的网页。里面如果有标签，按文字读入"
    ),
    "it is not what its name says": "它的内容和文件名不符",
    "Nothing is held out to validate on: {why}. The whole text is used for training, and the last model is kept. To "
    "validate, use {remedy}.": "没有留出验证部分：{why}。整份文本都用于训练，保留最后的模型。要验证，请用 {remedy}。",
    "a text of {lines} has no place where about {share} of it can be cut off": (
        "{lines}的文本里，没有哪个地方正好能切下大约 {share}"
    ),
    "{share} of {tokens} tokens would be too few": "{tokens} 个词元的 {share} 太少",
    "--valid FILE, or --context stream for text without lines": "--valid FILE；文本不分行的，也可以用 --context stream",
    "{source} gives {n} tokens, of which the training text lacks {absent}.": (
        "{source} 给出 {n} 个词元，其中 {absent} 个在训练文本里没有。"
    ),
    "The tokenizer": "分词器",
    "{note} {n} tokens of the text are unknown, {times} times: {tokens}.": (
        "{note}文本里有 {n} 个词元未登录，一共出现 {times} 次：{tokens}。"
    ),
}

MODELS = {
    "Warning: {n} of the model's {tokens} tokens have capital letters, so they are never read.": (
        "警告：模型的 {tokens} 个词元里，有 {n} 个带大写字母，永远不会读到。"
    ),
    "Warning: {path}: {doubt}": "警告：{path}：{doubt}",
    "the probabilities of the n-gram model sum to {sum} {after}, not to 1, so that its perplexity cannot be compared "
    "with that of another model. Are its logarithms to base 10, and its back-off weights those of its n-grams?": (
        "{after}，n-gram 模型的概率之和是 {sum}，不是 1，所以它的困惑度不能和别的模型相比。"
        "它的对数是以 10 为底的吗？回退权重和它的 n-gram 对得上吗？"
    ),
    "after {tokens}": "在 {tokens} 之后",
    "without a context": "没有上下文时",
    "{token} ends a line, and is read before its first token, too.": "{token} 结束一行，每行的第一个词元之前也读它。",
    "No token stands for unknown ones: <unk> is added, with a probability of 0. {option} names one.": (
        "没有代表未登录词的词元：加上了 <unk>，概率是 0。用 {option} 可以指定一个。"
    ),
    "sherpa-onnx uses the ids of the recogniser, which have to be those of the vocabulary file. To convert them, give "
    "the tokens.txt of the recogniser with --vocabulary.": (
        "sherpa-onnx 用的是识别器的编号，必须和词表文件里的一致。要转换编号，请用 --vocabulary 给出识别器的 tokens.txt。"
    ),
    "{n} of the {tokens} tokens of {name} are unknown to the model: {shown}. They have the probability of <unk>.": (
        "{name} 的 {tokens} 个词元里，模型不认识 {n} 个：{shown}。它们的概率取 <unk> 的概率。"
    ),
    "Chinese that has no spaces between its words is cut by how often the model's text has each word, not by jieba, "
    "and in places otherwise.": "词之间没有空格的中文，按模型的训练文本里各词的频率来切，不用 jieba，有些地方切得会不一样。",
    "{theirs} is taken as {name}.": "{theirs} 当作 {name}。",
    "{n} arrays of float64 are rounded to float32.": "{n} 个 float64 数组舍入成了 float32。",
    "{modules} are taken as layers, each reading the one before.": "{modules} 当作各层，每一层读前一层。",
    "{names} taken as weights without dropout.": "{names} 当作没有 dropout 的权重。",
    "Biases that the file does not have are zero.": "文件里没有的偏置取 0。",
    "Layers of the widths {widths} are padded to {width} with units that have no effect.": (
        "宽度为 {widths} 的各层用不起作用的单元补到 {width}。"
    ),
    "Each line is read independently. If the model was trained on continuous text, use --context stream.": (
        "每行单独来读。如果模型是用连成一篇的文本训练的，请用 --context stream。"
    ),
    "Ignored, because no network has it: {names}.": "网络里没有这些，已忽略：{names}。",
    "The disambiguation symbols {first} to {last} are left out.": "消歧符号 {first} 到 {last} 已略去。",
}

NOTES = ADVICE | TEXTS | MODELS
