"""Chinese translations of the command line's texts, by the English text in the code; see `languages`."""

# ruff: noqa: E501 -- texts are not split, and a Chinese character counts as two

from rnnlm.cli.chinese_answers import ANSWERS
from rnnlm.cli.chinese_lab import LABORATORY, TITLES
from rnnlm.cli.chinese_notes import NOTES

COMMANDS = {  # first paragraphs of helps, and lines in lists of commands
    "Train a recurrent neural network language model on your text, and ask it things.": (
        "用你自己的文本训练一个循环神经网络语言模型，再向它提问。"
    ),
    "Train a model on a text.": "用一份文本训练模型。",
    "Show the most probable next tokens after a text.": "给出一段文本之后最可能的下一个词。",
    "Generate text.": "让模型写一段文字。",
    "Print the log probability of every line.": "打印每一行的对数概率。",
    "Choose among the candidates of a recogniser (n-best lists).": "在识别器的候选（n-best 列表）中挑出最通顺的。",
    "Rank what fits into the blanks of a sentence.": "给句子里的空排出最合适的填法。",
    "Measure a model on a text: perplexity, bits per character.": "在一份文本上评测模型：困惑度、每字符比特数。",
    "Train an n-gram model, the baseline.": "训练 n-gram 模型，作为基线。",
    "Show what is in a checkpoint.": "查看检查点里有什么。",
    "Write a model for PyTorch, safetensors or ONNX.": "把模型导出为 PyTorch、safetensors 或 ONNX 格式。",
    "Make a model from weights of another program.": "把别的程序的权重转成模型。",
    "Serve models over HTTP, with a page to play with them.": "通过 HTTP 提供模型服务，附带试玩页面。",
    "Explain a recurrent language model step by step, with numbers.": "循环神经网络语言模型，一步一步，配上真实的数字。",
    "Draw learning curves, surprise along a text, the embedding.": "画学习曲线、文本的惊奇度、词嵌入。",
    "Type, and see what the model expects next.": "一边输入，一边看模型预测的下一个词。",
    "Print a script that completes commands in a shell.": "打印 shell 的命令补全脚本。",
    'Train a model on CORPUS: text files, folders of them, .gz, or "-" for stdin.': (
        "用 CORPUS 训练模型：文本文件、装着文本文件的文件夹、.gz，或者用 “-” 表示标准输入。"
    ),
    'Show the most probable next tokens after TEXT ("-": stdin), with their probabilities.': (
        "给出 TEXT（“-” 表示标准输入）之后最可能的下一个词和它们的概率。"
    ),
    'Measure the model on FILE: text files, folders, .gz, or "-" for stdin.': (
        "在 FILE 上评测模型：文本文件、文件夹、.gz，或者用 “-” 表示标准输入。"
    ),
    "Show what is learnt from a sentence: inputs and labels.": "从一句话里能学到什么：输入和标签。",
    "Show how a word becomes a vector.": "词怎样变成向量。",
    "Show how numbers become probabilities.": "一组数怎样变成概率。",
    "Measure how wrong an answer is: cross-entropy and squared error.": "答案错得有多远：交叉熵与平方误差。",
    "Check that back-propagation is right.": "检查反向传播算得对不对。",
    "Show the states of a network step by step, in one direction or both.": "网络逐步读入时的状态，双向网络也可以。",
    "Show back-propagation through time, step by step.": "随时间反向传播（BPTT），一步一步。",
    "Show how errors travel back through time: why gradients vanish or explode.": (
        "误差怎样沿时间往回传：梯度为什么会消失或爆炸。"
    ),
    "Show a training that ends in NaN, and the same with clipping.": "看一次训练怎样跑到 NaN，再看裁剪梯度之后怎样。",
    "Measure how far back a model remembers the word on which another depends.": "决定一个词的线索，模型能记住多少个词那么远。",
    'Show the training pairs of TEXT ("-": stdin): after every token, the network should predict the next one.': (
        "列出 TEXT（“-” 表示标准输入）构成的训练集：每读到一个词元，网络都应当答出下一个。"
    ),
    'Show the one-hot vector of every token of TEXT ("-": stdin), and that U times it is a column of U.': (
        "列出 TEXT（“-” 表示标准输入）里每个词元的 one-hot 向量，并验证 U 乘以它就是 U 的一列。"
    ),
    'Show the softmax of NUMBERS ("-": those on stdin), step by step.': (
        "一步一步算出 NUMBERS（“-” 表示标准输入里的数）的 softmax。"
    ),
    "Show the loss of softmax(NUMBERS) where one answer is right, and its gradient; NUMBERS are 1 2 3 4 by default.": (
        "给定正确答案，算出 softmax(NUMBERS) 的损失和梯度；NUMBERS 默认为 1 2 3 4。"
    ),
    "Compare the gradients of back-propagation with those of the definition, (E(w + d) - E(w - d)) / 2d.": (
        "把反向传播得到的梯度和按定义 (E(w + d) - E(w - d)) / 2d 求出的逐一对照。"
    ),
    'Unroll the network over the sentence TEXT ("-": stdin): show its states, and the terms of each output.': (
        "让网络沿句子 TEXT（“-” 表示标准输入）展开：列出每一步的状态，以及每个输出由哪几项相加而成。"
    ),
    'Unroll the network over the sentence TEXT ("-": stdin) and go back through it, with real numbers.': (
        "让网络沿句子 TEXT（“-” 表示标准输入）展开，再用真实的数字一步步反向传播回去。"
    ),
    'Follow the error of one step back through FILE: text files, folders, .gz, "-" for stdin, or a sentence itself.': (
        "追踪某一步的误差沿 FILE 往回传的过程。FILE 可以是文本文件、文件夹、.gz、“-”（标准输入），也可以直接是一句话。"
    ),
    'Train on TEXT ("-": stdin) until the loss is NaN, step by step; beside it, the same with gradients clipped.': (
        "在 TEXT（“-” 表示标准输入）上一步步训练，直到损失变成 NaN；旁边是裁剪了梯度的同一次训练。"
    ),
    "Show how far back a model remembers the word on which another depends.": "看模型能把决定一个词的线索记住多远。",
}

COUNTED = {
    "{n} step": "{n} 步",
    "{n} column": "{n} 列",
    "{n} gradient": "{n} 个梯度",
    "{n} place": "{n} 个位置",
    "{n} window": "{n} 个窗口",
    "{n} product": "{n} 个乘积",
    "{n} token": "{n} 个词元",
    "{n} sentence": "{n} 个句子",
    "{n} pair": "{n} 对",
    "{n} word": "{n} 个词",
    "{n} tokens": "{n} 个词元",
    "{n} line": "{n} 行",
    "{n} lines": "{n} 行",
    "{n} character": "{n} 个字符",
    "words": "词",
    "chars": "字符",
    "tokens": "词元",
    "characters": "字符",
}

MESSAGES = {
    "Warning: not in the vocabulary, read as <unk>: {tokens}": "警告：词表里没有，读作 <unk>：{tokens}",
    "A blank at the end changes nothing here: the next token is predicted. rnnlm fill compares sentences.": (
        "句末的空等于问下一个词，这里就答；要比较整个句子，用 rnnlm fill。"
    ),
    "The text has a blank, which is read as it stands. To fill it, use: rnnlm fill TEXT": (
        "句子中间有空，这里按原样读入。要填空，用：rnnlm fill TEXT"
    ),
    "--why examined the last {examined} of {tokens} tokens.": "{tokens} 个词元中，--why 检查了最后 {examined} 个。",
    "There is no token before the answer, so --why has nothing to examine.": ("答案之前没有词元，--why 没有可检查的。"),
    "Text        {characters} characters; {tokens} tokens for training, {held_out}": (
        "文本        {characters} 个字符；{tokens} 个词元用于训练，{held_out}"
    ),
    "{valid} for validation": "{valid} 个用于验证",
    "none held out for validation": "没有留出验证部分",
    "Context     {context}": "上下文      {context}",
    "Held out    {what}": "留出        {what}",
    "{n} blocks spread over the text": "散布全文的 {n} 段",
    "the last lines of the text": "文本的最后若干行",
    "Vocabulary  {size} {tokens}, covering {coverage} % of the training text": (
        "词表        {size} 个{tokens}，覆盖训练文本的 {coverage} %"
    ),
    "embedding {size}": "词嵌入 {size} 维",
    "one-hot input": "one-hot 输入",
    ", adaptive softmax cut at {cutoffs}": "，自适应 softmax，分界在 {cutoffs}",
    ", tied output": "，输出与嵌入共享权重",
    "Network     {network}{coupled}, {embedding}{output}, dropout {dropout}{more}; {parameters} parameters": (
        "网络        {network}{coupled}，{embedding}{output}，dropout {dropout}{more}；{parameters} 个参数"
    ),
    "The model is the average of {n} networks, stored as one of {units} units.": (
        "模型是 {n} 个网络的平均，存成一个有 {units} 个单元的网络。"
    ),
    " with coupled gates": "（输入门为 1 减遗忘门）",
    ", {n} networks to be averaged": "，{n} 个网络取平均",
    "Training    {span}{networks}, batches of {columns} x {steps}{shifted}, {optimizer} {lr} {schedule}{more}; {threads}, "
    "{kernels}": (
        "训练        {span}{networks}，每批 {columns} x {steps}{shifted}，{optimizer} {lr} {schedule}{more}；{threads}，{kernels}"
    ),
    "{n} epochs": "{n} 轮",
    " shifted": "（错位）",
    "1 thread": "1 个线程",
    "{n} threads": "{n} 个线程",
    " of each of {n} workers": "（{n} 个进程，每个如此）",
    "compiled kernels": "编译的内核",
    "NumPy kernels": "NumPy 内核",
    "PyTorch on {device}": "PyTorch，设备 {device}",
    "Resumed     at step {step}, {where}": "继续        从第 {step} 步起，{where}",
    "finished; to go on, give more --epochs or a longer --time": "已经训练完；要接着训练，请加大 --epochs 或 --time",
    "epoch {n}": "第 {n} 轮",
    "stream: as one text; lines help to predict the next ones ({nats} nats a token)": (
        "stream：连成一篇来读；前面的行有助于预测后面的行（每词元 {nats} nat）"
    ),
    "sentence: each line alone; lines do not help to predict the next": (
        "sentence：每行单独来读；看不出前一行有助于预测后一行"
    ),
    "Equals      {command}": "等价命令    {command}",
    "Time        {span}": "用时        {span}",
    "about a minute; --time {less} for less": "约 1 分钟；想更短，加 --time {less}",
    "about {minutes} minutes; --time {less} for less": "约 {minutes} 分钟；想更短，加 --time {less}",
    "about {hours} hours; --time {less} for less": "约 {hours} 小时；想更短，加 --time {less}",
    "Advice      {line}": "建议        {line}",
    "Best valid loss {loss} nats per token (perplexity {perplexity}) at step {step}": (
        "最好的验证损失是每词元 {loss} nat（困惑度 {perplexity}），在第 {step} 步"
    ),
    "Best train loss {loss} nats per token (perplexity {perplexity}) at step {step}": (
        "最好的训练损失是每词元 {loss} nat（困惑度 {perplexity}），在第 {step} 步"
    ),
    "Best valid loss {loss} nats per token (pseudo-perplexity {perplexity}) at step {step}": (
        "最好的验证损失是每词元 {loss} nat（伪困惑度 {perplexity}），在第 {step} 步"
    ),
    "Best train loss {loss} nats per token (pseudo-perplexity {perplexity}) at step {step}": (
        "最好的训练损失是每词元 {loss} nat（伪困惑度 {perplexity}），在第 {step} 步"
    ),
    "character": "字符",
    "Held-out perplexity: network {network}, {order}-gram {ngram}, {unit} frequencies {frequencies}.": (
        "留出部分的困惑度：网络 {network}，{order}-gram {ngram}，只看频率 {frequencies}。"
    ),
    "The {order}-gram has counted {counted} of the {tokens} tokens.": "{order}-gram 统计了 {tokens} 个词元中的 {counted} 个。",
    "Both together: {perplexity}. The model holds both; --ngram 0 leaves the {order}-gram out.": (
        "两者合用：{perplexity}。模型里两者都有；不要 {order}-gram 就加 --ngram 0。"
    ),
    "The {order}-gram of the same text is better. Train longer, or leave --ngram 0 out.": (
        "同一份文本的 {order}-gram 更好。请训练得更久，或者不要加 --ngram 0。"
    ),
    "A sample: {sample}": "试写一段：{sample}",
    "In bits: {bits}.": "以比特计：{bits}。",
    "{bits} per token": "每词元 {bits}",
    "{bits} per character": "每字符 {bits}",
    "{bits} per byte": "每字节 {bits}",
    ", ": "，",
    "about {bits}": "约合{bits}",
    " locked": "（锁定）",
    ", of the input {rate}": "，对输入 {rate}",
    ", of weights {rate}": "，对权重 {rate}",
    ", of tokens {rate}": "，对词元 {rate}",
    ", weight decay {value}": "，权重衰减 {value}",
    ", averaged by {value}": "，滑动平均 {value}",
    ", labels smoothed by {value}": "，标签平滑 {value}",
    "Interrupted at step {step}; {saved}.{how}": "在第 {step} 步中断；{saved}。{how}",
    "Interrupted; {saved}.": "已中断；{saved}。",
    "nothing was written": "什么也没有写",
    "nothing of this training is saved": "这次训练什么也没有保存",
    "{file} holds step {step}": "{file} 里是第 {step} 步",
    " Go on with --resume.": "用 --resume 接着训练。",
    "Saved again: {saved}.": "又能保存了：{saved}。",
    "The loss exploded at step {at}. Back to step {step} with half the learning rate.": (
        "损失在第 {at} 步爆炸。退回第 {step} 步，学习率减半。"
    ),
    "Saved {file}. Try: {command}": "已保存 {file}。试试：{command}",
    "loss {nats}": "损失 {nats}",
    "valid {nats}": "验证 {nats}",
    " (perplexity {perplexity})": "（困惑度 {perplexity}）",
    "{n} tokens/s": "{n} 词元/秒",
    "{time} left": "还剩 {time}",
}

CHINESE = COMMANDS | TITLES | COUNTED | LABORATORY | MESSAGES | ANSWERS | NOTES
