"""Chinese translations of the laboratory's texts."""

# ruff: noqa: E501 -- texts are not split, and a Chinese character counts as two

TITLES = {  # titles of table columns
    "sum": "合计",
    "cut": "裁剪",
    "step": "步",
    "token": "词元",
    "label": "标签",
    "o_t[label]": "o_t[标签]",
    "o_t[best]": "o_t[最可能]",
    "o[label]": "o[标签]",
    "best": "最可能",
    "row by row": "逐行列出",
    "the column of x_t": "x_t 对应的那一列",
    "(o_t - y_t)[label]": "(o_t - y_t)[标签]",
    "dE_t/dz_t[label]": "dE_t/dz_t[标签]",
    "numerical": "数值梯度",
    "parameter": "参数",
    "at": "位置",
    "expected": "按定义",
    "actual": "反向传播",
    "relative error": "相对误差",
    "direction": "随机方向",
    "WRONG": "错误",
    "gradient": "梯度",
    "of one step back": "与后退一步之比",
    "by h": "经 h",
    "by c": "经 c",
    "bound": "上界",
    "network": "网络",
    "layer": "层",
    "radius": "谱半径",
    "predicted": "预测",
    "measured": "实测",
    "norm": "范数",
    "probability": "概率",
    "cross-entropy": "交叉熵",
    "squared error": "平方误差",
    "input": "输入",
    "id": "编号",
    "count": "次数",
    "one-hot vector x": "one-hot 向量 x",
    "reserved": "保留",
    "distance": "距离",
    "agreement": "一致关系",
    "group": "组",
    "pairs": "对数",
    "right": "正确",
    "wrong": "错误",
}

LABORATORY = {
    "formula 1": "式 1",
    "formula 2": "式 2",
    "W, delta_t: all gates": "W、delta_t：所有的门",
    "{name} is {rows} x {columns}.": "{name} 是 {rows} x {columns} 的矩阵。",
    "; from layer 2 on, x_t is the state of the layer below (layers: {layers})": (
        "；从第 2 层起，x_t 是下一层的状态（共 {layers} 层）"
    ),
    "what x_t is": "预测 x_t",
    "what x_(t+1) is": "预测 x_(t+1)",
    "Error terms over time (formula 3): delta_(t-1) gets (W^T delta_t) f'(net_(t-1)) from delta_t.": (
        "误差项沿时间往回传（式 3）：delta_(t-1) 从 delta_t 得到 (W^T delta_t) f'(net_(t-1))。"
    ),
    "Error terms of the layer below (formula 4): delta_t of layer {below} gets (U^T delta_t) f' from above.": (
        "误差项传到下面一层（式 4）：第 {below} 层的 delta_t 从上面一层得到 (U^T delta_t) f'。"
    ),
    "Gradient of {name}: step t gives delta_t s_(t-1)^T (formula 5), and the steps are summed (formulas 6, 7).": (
        "{name} 的梯度：第 t 步贡献 delta_t s_(t-1)^T（式 5），各步相加（式 6、式 7）。"
    ),
    "Gradient of {name}: step t gives delta_t x_t^T (formula 8), and the steps are summed.": (
        "{name} 的梯度：第 t 步贡献 delta_t x_t^T（式 8），各步相加。"
    ),
    "Gradient of V: step t gives (o_t - y_t) s_t^T, y_t the one-hot vector of the label.": (
        "V 的梯度：第 t 步贡献 (o_t - y_t) s_t^T，y_t 是标签的 one-hot 向量。"
    ),
    "Gradient of V: step t gives dE_t/dz_t s_t^T, z_t = V s_t + b_V.": (
        "V 的梯度：第 t 步贡献 dE_t/dz_t s_t^T，其中 z_t = V s_t + b_V。"
    ),
    "all {n} entries": "全部 {n} 个元素",
    "{n} entries chosen at random": "随机抽取的 {n} 个元素",
    "E = {E}. The sum of the steps and (E(w + d) - E(w - d)) / 2d agree\n"
    "at {where} of W: they differ by at most {worst} of the largest entry.": (
        "E = {E}。各步之和与 (E(w + d) - E(w - d)) / 2d 一致：\n比较了 W 的{where}，差别最多是最大元素的 {worst}。"
    ),
    "E = {E}. The sum of the steps and (E(w + d) - E(w - d)) / 2d differ\n"
    "by {worst} of the largest entry, at {where} of W: back-propagation is wrong.": (
        "E = {E}。各步之和与 (E(w + d) - E(w - d)) / 2d 不一致："
        "比较了 W 的{where}，差别达到最大元素的 {worst}。反向传播算错了。"
    ),
    "relu has no derivative at 0, and a step across 0 causes such a difference; try another --seed.": (
        "relu 在 0 处不可导，差分跨过 0 就会有这样的差别；换一个 --seed 便知。"
    ),
    "--activation {activation} is not used: the cell {cell} has sigmoid and tanh built in.": (
        "--activation {activation} 没有用上：{cell} 单元自带 sigmoid 和 tanh。"
    ),
    "{steps}, {columns}, {size} tokens in the vocabulary; relative error = "
    "|expected - actual| / max(|expected| + |actual|, {floor}).": (
        "{steps}，{columns}，词表有 {size} 个词元；相对误差 = |按定义 - 反向传播| / max(|按定义| + |反向传播|, {floor})。"
    ),
    "Worst relative error {error} ({symbol}, {name} {place}): ": "最大的相对误差是 {error}（{symbol}，{name} {place}）：",
    "all {gradients} agree to 1e-6.": "{gradients}在 1e-6 之内全部一致。",
    "{wrong} of {gradients} are wrong, in {symbols}.": "{gradients}里有 {wrong} 个不对，在 {symbols}。",
    "probability = {power} / sum of all {power}: each is positive, and together they are sum / sum = 1.\n"
    "Subtracting the largest x first changes nothing, as the factor e^-max cancels; but then no power exceeds 1.": (
        "概率 = {power} / 所有 {power} 之和：每个都是正数，加起来正好是 1。"
        "先减去最大的 x，结果不变，因为分子分母里的 e^-max 约掉了；但这样一来，没有哪个幂会超过 1。"
    ),
    "too large": "太大",
    "Here it is needed: the sum of {power} overflows or is 0, so nothing can be divided by it.": (
        "这里非减不可：{power} 之和已经不是计算机能拿来做除数的数了。"
    ),
    "Cross-entropy L = -sum of y ln o, and squared error L = sum of (o - y)^2 / 2, of o = softmax(x):": (
        "o = softmax(x) 的交叉熵 L = -Σ y ln o 和平方误差 L = Σ (o - y)^2 / 2："
    ),
    "Cross-entropy: -ln {p} = {loss}. Its gradient is o - y.": "交叉熵：-ln {p} = {loss}，它的梯度就是 o - y。",
    "The more certain the network is of a wrong answer, the smaller the x of the right one:": (
        "网络越是认定错误的答案，正确答案的 x 就越小："
    ),
    "Cross-entropy grows and its gradient goes to -1: the greater the error, the more is learnt. The gradient "
    "of the squared error has the factor o, goes to 0, and nothing is learnt where the network is most wrong.": (
        "交叉熵越来越大，梯度趋于 -1：错得越多，学得越多。"
        "平方误差的梯度里有因子 o，会趋于 0：偏偏在错得最离谱的时候，什么也学不到。"
    ),
    "Gradient descent with lr {lr}: E in nats per token, |g| the norm of the gradient, max |w| the largest weight; "
    "left as it is, right with g cut to norm {clip}:": (
        "学习率 {lr} 的梯度下降。E：每个词元的损失（nat）；|g|：梯度的范数；max |w|：绝对值最大的权重。"
        "左边不加处理，右边把 g 裁剪到范数 {clip}："
    ),
    "As it is": "不加处理",
    "Cut to norm {clip}": "裁剪到范数 {clip}",
    "{name}: NaN at step {step}.": "{name}：第 {step} 步变成 NaN。",
    "{name}: E per token from {first} to {last}.": "{name}：每个词元的 E 从 {first} 变到 {last}。",
    "Clipping shortened {n} of {steps}.": "{steps}里有 {n} 步的梯度被裁短。",
    "It changes the length of g alone, not its direction.": "裁剪只改变 g 的长度，不改变它的方向。",
    "{places} of {file}, {context}, {size} tokens in the vocabulary; {steps} back.": (
        "{file} 的 {places}，{context}，词表有 {size} 个词元；后退 {steps}。"
    ),
    "Length of the gradient of the loss at step t by the state at step k ({network}):": (
        "第 t 步的损失对第 k 步状态的梯度有多长（{network}）："
    ),
    ", layer {layer} of {layers}": "，第 {layer} 层，共 {layers} 层",
    "Share of the gradient one step back (of the top layer) that is left t - k steps back:": (
        "后退 t - k 步之后，梯度还剩后退一步时的几成（最上面一层）："
    ),
    "predicted: spectral radius of W x root mean square of f', for the basic cell": (
        "预测：W 的谱半径 x f' 的均方根，只用于基本单元"
    ),
    "1/10, 1/100: steps back up to which a tenth, a hundredth of the gradient one step back is left": (
        "1/10、1/100：后退到第几步为止，梯度还剩后退一步时的十分之一、百分之一"
    ),
    "norm: of the whole gradient, median of the windows; cut: share of the windows in which clipping shortens it": (
        "范数：整个梯度的范数，取各窗口的中位数；裁剪：梯度被裁短的窗口所占的比例"
    ),
    "relu keeps less than tanh{weights} because {off} of its units are off, where f' is 0: a step back keeps "
    "{kept} of the length, with tanh {by_tanh} (root mean square of f')": (
        "{weights}relu 留下的梯度比 tanh 少，因为它有 {off} 的单元处于关闭状态，那里 f' 为 0：每后退一步，长度剩下 {kept}，"
        "而 tanh 剩下 {by_tanh}（f' 的均方根）"
    ),
    " with uniform weights": "权重均匀初始化时，",
    ".": "。",
    "; with the identity as W {off} are off.": "；用单位矩阵作 W 时，只有 {off} 关闭。",
    "W has the spectral radius {radius} and the norm |W| {norm}; f' is at most {largest}, its root mean square {rms}.": (
        "W 的谱半径是 {radius}，范数 |W| 是 {norm}；f' 最大为 {largest}，均方根是 {rms}。"
    ),
    "Factor per step back: measured {measured}; predicted {predicted} (spectral radius x root mean square of f').": (
        "每后退一步乘上的倍数：实测 {measured}，预测 {predicted}（谱半径 x f' 的均方根）。"
    ),
    "Factor per step back: measured {measured}.": "每后退一步乘上的倍数：实测 {measured}。",
    "The bound is (|W| max f')^(t-k), {factor} per step (from formula 3).": (
        "上界是 (|W| max f')^(t-k)，每步 {factor}（由式 3 推出）。"
    ),
    "The bound (|W| max f')^(t-k) holds for the top layer only: lower states reach the loss in many ways.": (
        "上界 (|W| max f')^(t-k) 只对最上面一层成立：下面各层的状态有许多条路通到损失。"
    ),
    "The cell {cell} has no W: each unit's error travels back alone, times the share that the step keeps.": (
        "{cell} 单元没有 W：每个神经元的误差各自往回传，乘上这一步保留的比例。"
    ),
    "Spectral radius of each gate's W (and its norm): {gates}.": "每个门的 W 的谱半径（括号里是范数）：{gates}。",
    "There is no bound of the form (|W| max f')^(t-k) for {cell}: what its gates let through is not multiplied by W.": (
        "{cell} 没有 (|W| max f')^(t-k) 这样的上界：门放行的部分并不乘以 W。"
    ),
    "Nothing survives: the gradient one step back is 0.": "什么也没剩下：后退一步，梯度就是 0。",
    "A tenth of the gradient one step back survives {tenth} steps back, a hundredth {hundredth}.": (
        "后退多少步以内，梯度至少还有后退一步时的十分之一：{tenth} 步；百分之一：{hundredth} 步。"
    ),
    "more than ": "超过 ",
    "The whole gradient of {windows} has the norm {median} (median), {largest} (largest); ": (
        "{windows}的整个梯度，范数的中位数是 {median}，最大是 {largest}；"
    ),
    "--clip 0 cuts nothing.": "--clip 0 不作裁剪。",
    "--clip {clip} shortens it in {share} of them and leaves {kept} of all their lengths.": (
        "--clip {clip} 裁短了其中的 {share}，总长度还剩 {kept}。"
    ),
    "{tokens} in {sentences}: {pairs}.": "{sentences}，{tokens}：一共 {pairs}。",
    "The vocabulary of {file} has {size} entries.": "{file} 的词表有 {size} 项。",
    "Vocabulary, {size} entries:": "词表，共 {size} 项：",
    "random numbers, {rows} rows": "随机数，{rows} 行",
    "embedding.weight, transposed: the model's first product": "embedding.weight 的转置：模型做的第一个乘法",
    "{name}, the first {shown} of {rows} rows": "{name}，{rows} 行中的前 {shown} 行",
    "({size} entries, 1 at {place})": "（{size} 项，第 {place} 项是 1）",
    "U ({name}, {columns} columns):": "U（{name}，{columns} 列）：",
    "too wide to be shown": "太宽，不列出",
    "For {token} (id {id}) U x is {product}, and column {id} of U is {column}.": (
        "对于 {token}（编号 {id}），U x 等于 {product}，U 的第 {id} 列也是 {column}。"
    ),
    "{equal} of {products}, each multiplied out over all {size} entries of x, equal the column of U with the "
    "token's id:\nall other columns are multiplied by 0. So the program looks the column up and never makes the "
    "vector.": (
        "{products}里有 {equal} 个（每个都把 x 的全部 {size} 项老老实实乘了一遍）等于 U 中以词元编号为序号的那一列："
        "其余各列都乘了 0。所以程序直接取出这一列，从不真的造这个向量。"
    ),
    "Chinese": "中文",
    "English": "英文",
    "Chance is 50%: each pair has a twin in which right and wrong have changed places, so that a model which does "
    "not see the deciding word is right in exactly half of them.": (
        "瞎猜是 50%：每一对都有一个对错互换的孪生对，看不见关键词的模型恰好只能对一半。"
    ),
    "Chance is 50%: a model that does not see the deciding word is right in exactly half of the pairs that have a "
    "twin, in which right and wrong have changed places, and in about half of those in which another person "
    "stands in between. A model that goes by that person is always wrong there.": (
        "瞎猜是 50%：在有孪生对（对错互换）的那些对里，看不见关键词的模型恰好对一半；"
        "在中间插进另一个人的那些对里，大约对一半。谁要是跟着中间那个人走，在那里就总是错。"
    ),
    "Is the first sentence of a pair more probable than the second? A model that guesses reaches 50%; one that "
    "prefers short sentences or frequent words may be far from it.": (
        "每一对里，第一句的概率是否更大？瞎猜的模型是 50%；偏爱短句或常用词的模型可能离它很远。"
    ),
    "The pairs are {language}, as {name} seems to be; use --language for another.": (
        "句对用{language}，因为 {name} 看来是{language}模型；可以用 --language 另行指定。"
    ),
    'Is the right sentence of a pair more probable than the wrong one? Here "{deciding}" decides that "{good}" is '
    'right and "{bad}" wrong, {words} later.': (
        "每一对里，正确的句子概率是否更大？这里“{deciding}”决定了 {words}之后“{good}”对而“{bad}”错。"
    ),
    "{sentences} sentences of {words} different words; networks read them in {passes}.": (
        "{sentences} 个句子，{words} 个不同的词；网络读 {passes}。"
    ),
    "1 pass": "1 遍",
    "{n} passes": "{n} 遍",
    "pronoun, ": "代词，",
    "measure word, ": "量词，",
    "possessive, ": "物主代词，",
    "verb's number, ": "动词单复数，",
    "verb's tense, ": "动词时态，",
    "closing mark, ": "成对标点，",
    "distance {band}": "距离 {band}",
    " and more": " 及以上",
    "all": "全部",
    "Training: {name}.": "训练：{name}。",
    "Warning: {unknown} of the {pairs} have words that {name} does not know and reads as <unk>; its accuracy there "
    "says little. These words are: {shown}": (
        "警告：{pairs}里有 {unknown} 对含有 {name} 不认识的词，它读作 <unk>，那里的准确率说明不了什么。这些词是：{shown}"
    ),
}
