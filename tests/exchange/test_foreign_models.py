"""Imported models of other programs, in their layouts, have the perplexity that the other program computes."""

import json
import math
import string
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from torch import nn  # noqa: E402

LINES = """\
the cat sat on the mat .
the dog sat on the <unk> .
a cat saw the dog , and the dog saw a cat .
mr. <unk> don't see N cats on a mat
the mat sat .
""".splitlines()
TEST = ["the dog saw the mat .", "a <unk> cat sat on mr. dog , and the cat", "the the . N"]


@pytest.fixture
def run(tmp_path, monkeypatch, rnnlm):
    """Run a command in an empty folder; return stdout, or stderr if it is an import or fails."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)

    def run(*arguments, code=0):
        captured = rnnlm(*arguments, code=code)
        return captured.err if code or arguments[0] == "import" else captured.out

    return run


@pytest.fixture
def perplexity(run):
    """A function that returns the perplexity of a text under theirs.npz, as `rnnlm eval` prints it."""

    def of(text):
        Path("test.txt").write_text(text, encoding="utf-8")
        return json.loads(run("eval", "test.txt", "-m", "theirs.npz", "--threads", "1", "--json"))["perplexity"]

    return of


def trained(model, batches, steps=20):
    """Train a model with Adam on (inputs, targets), each of shape (T,), always from a zero state; return it."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for step in range(steps):
        inputs, targets = batches[step % len(batches)]
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    return model.eval()


def perplexity_of(model, batches):
    """Return exp of the mean nll over all targets of all batches, each read from a zero state."""
    with torch.no_grad():
        nats = [
            nn.functional.cross_entropy(model(inputs), targets, reduction="sum").item() for inputs, targets in batches
        ]
    return math.exp(sum(nats) / sum(len(targets) for _, targets in batches))


def shifted(ids, first):
    """Return inputs and targets of a stream of ids that is read after the id `first`."""
    return torch.tensor([first, *ids[:-1]]), torch.tensor(ids)


def close(value):
    return pytest.approx(value, rel=1e-5)


# --- pytorch/examples, word_language_model ----------------------------------------------------------------------


class RNNModel(nn.Module):
    """The model of word_language_model/model.py, with its parameter names."""

    def __init__(self, kind, V, D=8, H=8, layers=2, tie=False):
        super().__init__()
        self.encoder = nn.Embedding(V, D)
        nonlinearity = {"RNN_TANH": "tanh", "RNN_RELU": "relu"}.get(kind)
        self.rnn = nn.RNN(D, H, layers, nonlinearity) if nonlinearity else getattr(nn, kind)(D, H, layers)
        self.decoder = nn.Linear(H, V)
        if tie:
            self.decoder.weight = self.encoder.weight

    def forward(self, ids):
        return self.decoder(self.rnn(self.encoder(ids)[:, None])[0][:, 0])


def dictionary(lines):
    """Return words in order of appearance and their ids, with <eos> after each line as in word_language_model."""
    words = list(dict.fromkeys(word for line in lines for word in [*line.split(), "<eos>"]))
    return words, {word: i for i, word in enumerate(words)}


def stream(lines, ids):
    return shifted([ids[word] for line in lines for word in [*line.split(), "<eos>"]], ids["<eos>"])


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN_TANH", "RNN_RELU"])
@pytest.mark.parametrize("tie", [False, True])
def test_models_of_pytorch_examples_can_be_imported(kind, tie, run, perplexity):
    words, ids = dictionary(LINES)
    model = trained(RNNModel(kind, len(words), tie=tie), [stream(LINES, ids)])
    torch.save(model.state_dict(), "theirs.pt")
    Path("words.json").write_text(json.dumps(words), encoding="utf-8")
    activation = ["--activation", kind[4:].lower()] * kind.startswith("RNN")
    load = ["import", "theirs.pt", "--vocabulary", "words.json", "--level", "token", *activation]
    assert "--eos '<eos>'" in run(*load, code=1)
    said = run(*load, "--eos", "<eos>", "--context", "stream")
    assert "'<eos>' ends a line, and is read before its first token, too." in said
    assert "trained on continuous text" not in said
    assert perplexity("\n".join(TEST) + "\n") == close(perplexity_of(model, [stream(TEST, ids)]))


def test_level_word_tokenizes_text_by_the_rules_for_words(run, perplexity):
    words, ids = dictionary(LINES)
    model = trained(RNNModel("LSTM", len(words)), [stream(LINES, ids)])
    torch.save(model.state_dict(), "theirs.pt")
    Path("words.json").write_text(json.dumps(ids), encoding="utf-8")
    run("import", "theirs.pt", "--vocabulary", "words.json", "--level", "word", "--eos", "<eos>", "--context", "stream")
    text = ["the dog saw the mat .", "a cat don't see"]
    assert perplexity("\n".join(text)) == close(perplexity_of(model, [stream(text, ids)]))


# --- char-rnn.pytorch -------------------------------------------------------------------------------------------


class CharRNN(nn.Module):
    """The model of char-rnn.pytorch/model.py, with its parameter names, over the characters of string.printable."""

    def __init__(self, V, H=12):
        super().__init__()
        self.encoder = nn.Embedding(V, H)
        self.rnn = nn.GRU(H, H, 2)
        self.decoder = nn.Linear(H, V)

    forward = RNNModel.forward


def test_a_character_model_without_special_tokens_can_be_imported(run, perplexity):
    characters = string.printable

    def of(text):
        return shifted([characters.index(character) for character in text], characters.index("\n"))

    model = trained(CharRNN(len(characters)), [of("\n".join(LINES))])
    torch.save({"epoch": 7, "model": model.state_dict()}, "theirs.pt")
    Path("characters.json").write_text(json.dumps(list(characters)), encoding="utf-8")
    said = run("import", "theirs.pt", "--vocabulary", "characters.json", "--level", "char")
    assert "No token stands for unknown ones" in said
    assert perplexity("a cat\nsat on\n") == close(perplexity_of(model, [of("a cat\nsat on\n")]))
    sample = run("sample", "-m", "theirs.npz", "--length", "40", "--seed", "1")
    assert sample
    assert set(sample) <= set(characters)


def test_a_character_model_whose_lines_end_with_a_newline_can_be_imported(run, perplexity):
    characters = ["<pad>", *sorted(set("\n".join(LINES)))]
    newline = characters.index("\n")

    def of(line):
        return shifted([characters.index(character) for character in f"{line}\n"], newline)

    model = trained(CharRNN(len(characters)), [of(line) for line in LINES])
    torch.save(model.state_dict(), "theirs.pt")
    Path("characters.json").write_text(json.dumps(characters), encoding="utf-8")
    load = ["import", "theirs.pt", "--vocabulary", "characters.json", "--level", "char", "--context", "sentence"]
    assert r"--eos '\n'" in run(*load, code=1)
    run(*load, "--eos", r"\n")
    lines = ["the cat", "a dog ."]
    assert perplexity("\n".join(lines)) == close(perplexity_of(model, [of(line) for line in lines]))


# --- icefall ----------------------------------------------------------------------------------------------------


class RnnLmModel(nn.Module):
    """The model of icefall/rnn_lm/model.py, with its parameter names; a sentence starts and ends with <sos/eos>."""

    def __init__(self, V, D=10, H=10, layers=2, tie_weights=False, bias=True):
        super().__init__()
        self.input_embedding = nn.Embedding(V, D)
        self.rnn = nn.LSTM(D, H, layers, batch_first=True)
        self.output_linear = nn.Linear(H, V, bias=bias)
        if tie_weights:
            self.output_linear.weight = self.input_embedding.weight

    def forward(self, ids):
        return self.output_linear(self.rnn(self.input_embedding(ids)[None])[0][0])


def sentence(line, ids):
    return shifted([*(ids[piece] for piece in line), 1], 1)


@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_a_training_checkpoint_of_icefall_can_be_imported(tie, bias, run, perplexity):
    pieces = ["<blk>", "<sos/eos>", "<unk>", *dict.fromkeys(" ".join(LINES).replace("<unk>", "").split())]
    ids = {piece: i for i, piece in enumerate(pieces)}
    model = RnnLmModel(len(pieces), tie_weights=tie, bias=bias)
    trained(model, [sentence(line.split(), ids) for line in LINES])
    average = {name: each.double() + 0.1 for name, each in model.state_dict().items()}
    optimizer = torch.optim.Adam(model.parameters()).state_dict()
    saved = {"model": model.state_dict(), "model_avg": average, "optimizer": optimizer, "scheduler": None, "epoch": 3}
    torch.save(saved, "theirs.pt")
    Path("tokens.txt").write_text("".join(f"{piece} {i}\n" for piece, i in ids.items()), encoding="utf-8")
    said = run("import", "theirs.pt", "--vocabulary", "tokens.txt", "--level", "token", "--eos", "<sos/eos>")
    assert ("tied output" in said) == tie
    assert perplexity("\n".join(TEST)) == close(perplexity_of(model, [sentence(line.split(), ids) for line in TEST]))


def test_a_model_of_pieces_reads_plain_text_with_its_file_of_pieces(run, perplexity):
    spm = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    lines = [line.replace("<unk>", "hat") for line in LINES]
    options = {"vocab_size": 60, "hard_vocab_limit": False, "minloglevel": 2, "bos_id": -1, "eos_id": -1}
    spm.SentencePieceTrainer.train(sentence_iterator=iter(lines * 9), model_prefix="bpe", model_type="bpe", **options)
    cutter = spm.SentencePieceProcessor(model_file="bpe.model")
    pieces = [cutter.id_to_piece(i) for i in range(cutter.get_piece_size())]
    tokens = ["<blk>", "<sos/eos>", *pieces]
    ids = {token: i for i, token in enumerate(tokens)}
    cut = [cutter.encode(line, out_type=str) for line in lines]
    model = trained(RnnLmModel(len(tokens)), [sentence(line, ids) for line in cut])
    torch.save(model.state_dict(), "theirs.pt")
    Path("tokens.txt").write_text("".join(f"{piece} {i}\n" for piece, i in ids.items()), encoding="utf-8")
    load = ["import", "theirs.pt", "--vocabulary", "tokens.txt", "--eos", "<sos/eos>", "--sentencepiece", "bpe.model"]
    run(*load)
    assert perplexity("\n".join(lines[:3])) == close(perplexity_of(model, [sentence(line, ids) for line in cut[:3]]))
    assert "--level" in run(*load, "--force", "--level", "word", code=1)
    other = ["a", "b", *(f"w{i}" for i in range(len(tokens) - 3)), "<sos/eos>"]
    Path("tokens.txt").write_text("\n".join(other), encoding="utf-8")
    assert "are pieces of the tokenizer" in run(*load, "--force", code=1)


@pytest.mark.parametrize("disambiguation", [[], ["#0", "#1"]])
def test_a_language_model_of_icefall_can_be_imported(disambiguation, run, perplexity):
    pieces = ["<blk>", "<sos/eos>", "<unk>", *dict.fromkeys(" ".join(LINES).replace("<unk>", "").split())]
    ids = {piece: i for i, piece in enumerate(pieces)}

    def of(line):
        return shifted([*(ids[piece] for piece in line.split()), 1], 1)

    model = trained(RnnLmModel(len(pieces)), [of(line) for line in LINES])
    torch.save({"model": model.state_dict(), "best_train_loss": 1.5, "optimizer": None}, "theirs.pt")
    lines = [f"{piece} {i}\n" for i, piece in enumerate(pieces + disambiguation)]
    Path("tokens.txt").write_text("".join(lines), encoding="utf-8")
    load = ["import", "theirs.pt", "--vocabulary", "tokens.txt", "--level", "token"]
    assert "--eos '<sos/eos>'" in run(*load, code=1)
    said = run(*load, "--eos", "<sos/eos>", "--bos", "<sos/eos>")
    assert "If the model was trained on continuous text, use --context stream." in said
    assert ("#0 to #1 are left out" in said) == bool(disambiguation)
    assert perplexity("\n".join(TEST)) == close(perplexity_of(model, [of(line) for line in TEST]))
    Path("line.txt").write_text(TEST[1], encoding="utf-8")
    scored = json.loads(run("score", "line.txt", "-m", "theirs.npz", "--json"))
    nats = math.log(perplexity_of(model, [of(TEST[1])])) * len(of(TEST[1])[0])
    assert scored["logprob_nats"] == close(-nats)


# --- layers in separate modules ---------------------------------------------------------------------------------


class Stack(nn.Module):
    """Stacked recurrent modules, as in many programs."""

    def __init__(self, V, kind, widths, names, tie=False):
        super().__init__()
        self.encoder = nn.Embedding(V, widths[0])
        self.names = names
        for name, below, width in zip(names, widths, widths[1:], strict=False):
            self.add_module(name, getattr(nn, kind)(below, width))
        self.decoder = nn.Linear(widths[-1], V)
        if tie:
            self.decoder.weight = self.encoder.weight

    def forward(self, ids):
        x = self.encoder(ids)[:, None]
        for name in self.names:
            layer = getattr(self, name)
            x = self.steps(layer, x) if type(layer).__name__.endswith("Cell") else layer(x)[0]
        return self.decoder(x[:, 0])

    @staticmethod
    def steps(cell, x):
        state, outputs = None, []
        for each in x:
            state = cell(each, state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(outputs)


@pytest.mark.parametrize(
    ("names", "widths"),
    [(["lstm1", "lstm2"], [6, 8, 8]), (["rnn", "rnn_2"], [6, 5, 8]), (["layer9", "layer10"], [7, 9, 4])],
)
@pytest.mark.parametrize("kind", ["LSTM", "LSTMCell", "GRU", "GRUCell", "RNN", "RNNCell"])
def test_stacked_modules_and_cells_are_taken_as_layers(names, kind, widths, run, perplexity):
    words, ids = dictionary(LINES)
    model = trained(Stack(len(words), kind, widths, names), [stream(LINES, ids)], 10)
    torch.save(model.state_dict(), "theirs.pt")
    Path("words.txt").write_text("\n".join(words), encoding="utf-8")
    activation = ["--activation", "tanh"] * kind.startswith("RNN")
    load = ["import", "theirs.pt", "--vocabulary", "words.txt", "--level", "token", "--context", "stream"]
    said = run(*load, "--eos", "<eos>", *activation)
    assert f"{names[0]}., {names[1]}. are taken as layers" in said
    assert ("padded" in said) == (widths[1] != widths[2])
    assert perplexity("\n".join(TEST)) == close(perplexity_of(model, [stream(TEST, ids)]))


def awd(state):
    """Rename weights as Merity's WeightDrop does."""
    return OrderedDict((name.replace("weight_hh_l0", "weight_hh_l0_raw"), each) for name, each in state.items())


def awd_with_masked_copies(state):
    """Rename weights as later versions of WeightDrop do, which also keep the masked weights of the last batch."""
    copies = {name: torch.zeros_like(each) for name, each in state.items() if "weight_hh" in name}
    return OrderedDict({**awd(state), **copies})


def fastai(state):
    """Rename weights as fastai's AWD_LSTM does: raw weights outside the module, and the embedding twice."""
    renamed = {
        (name.replace("module.weight_hh_l0", "weight_hh_l0_raw") if "weight_hh" in name else name): each
        for name, each in state.items()
    }
    found = OrderedDict((f"{int('decoder' in name)}.{name}", each) for name, each in renamed.items())
    found["0.encoder_dp.emb.weight"] = state["encoder.weight"].clone()
    return found


@pytest.mark.parametrize("layout", [awd, awd_with_masked_copies, fastai])
@pytest.mark.parametrize(("widths", "tie"), [([8, 8, 8, 8], False), ([8, 8, 8, 8], True), ([6, 9, 9, 6], True)])
def test_an_awd_lstm_can_be_imported(layout, widths, tie, run, perplexity):
    words, ids = dictionary(LINES)
    names = ["rnns_0", "rnns_1", "rnns_2"]
    model = trained(Stack(len(words), "LSTM", widths, names, tie), [stream(LINES, ids)], 10)
    wrapped = {"rnns_": "rnns.", ".weight_": ".module.weight_", ".bias_": ".module.bias_"}
    state = model.state_dict()
    for mine, theirs in wrapped.items():
        state = OrderedDict((name.replace(mine, theirs), each) for name, each in state.items())
    torch.save(layout(state), "theirs.pt")
    Path("words.json").write_text(json.dumps(ids), encoding="utf-8")
    load = ["import", "theirs.pt", "--vocabulary", "words.json", "--level", "token", "--context", "stream"]
    assert "_raw" in run(*load, "--eos", "<eos>")
    assert perplexity("\n".join(TEST)) == close(perplexity_of(model, [stream(TEST, ids)]))


# --- other outputs and types ------------------------------------------------------------------------------------


def test_an_adaptive_softmax_can_be_imported(run, perplexity):
    words, ids = dictionary(LINES)
    order = sorted(words, key=" ".join([f"{line} <eos>" for line in LINES]).split().count, reverse=True)
    ids = {word: i for i, word in enumerate(order)}

    class Model(RNNModel):
        def forward(self, ids):
            return self.decoder.log_prob(self.rnn(self.encoder(ids)[:, None])[0][:, 0])

    model = Model("LSTM", len(order), layers=1)
    model.decoder = nn.AdaptiveLogSoftmaxWithLoss(8, len(order), [10, 14], div_value=2.0)
    trained(model, [stream(LINES, ids)])
    torch.save(model.state_dict(), "theirs.pt")
    Path("words.json").write_text(json.dumps(ids), encoding="utf-8")
    load = ["import", "theirs.pt", "--vocabulary", "words.json", "--level", "token", "--context", "stream"]
    run(*load, "--eos", "<eos>")
    assert perplexity("\n".join(TEST)) == close(perplexity_of(model, [stream(TEST, ids)]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_safetensors_of_other_float_types_with_integer_buffers_can_be_imported(dtype, run, perplexity):
    save_file = pytest.importorskip("safetensors.torch", reason="safetensors is not installed").save_file
    words, ids = dictionary(LINES)
    model = trained(RNNModel("LSTM", len(words)), [stream(LINES, ids)]).to(dtype)
    state = {**model.state_dict(), "position_ids": torch.arange(4), "mask": torch.ones(2, dtype=torch.bool)}
    save_file(state, "theirs.safetensors")
    torch.save(state, "theirs.pt")
    Path("words.json").write_text(json.dumps(words), encoding="utf-8")
    for name in ("theirs.safetensors", "theirs.pt"):
        load = ["import", name, "--vocabulary", "words.json", "--level", "token", "--context", "stream", "--force"]
        assert "Ignored, because no network has it: 'mask', 'position_ids'." in run(*load, "--eos", "<eos>")
        expected = perplexity_of(model.to(torch.float64), [stream(TEST, ids)])
        assert perplexity("\n".join(TEST)) == close(expected)


def test_a_word_model_without_an_unknown_token_can_be_imported(run, perplexity):
    lines = [line.replace("<unk>", "cat") for line in LINES]
    words, ids = dictionary(lines)
    model = trained(RNNModel("GRU", len(words), tie=True), [stream(lines, ids)])
    torch.save(model.state_dict(), "theirs.pt")
    Path("words.txt").write_text("\n".join(words), encoding="utf-8")
    said = run(
        "import", "theirs.pt", "--vocabulary", "words.txt", "--level", "token", "--eos", "<eos>", "--context", "stream"
    )
    assert "No token stands for unknown ones" in said
    text = [line.replace("<unk>", "cat") for line in TEST]
    assert perplexity("\n".join(text)) == close(perplexity_of(model, [stream(text, ids)]))
    assert perplexity("the elephant sat .\n") > 1e4  # counted, and much less probable than any known word


def test_the_columns_of_one_hot_input_are_reordered(run, perplexity):
    words, ids = dictionary(LINES)

    class OneHot(RNNModel):
        def forward(self, ids):
            return self.decoder(self.rnn(nn.functional.one_hot(ids, len(words)).float()[:, None])[0][:, 0])

    model = OneHot("GRU", len(words), D=len(words), layers=1)
    del model.encoder
    trained(model, [stream(LINES, ids)])
    torch.save(model.state_dict(), "theirs.pt")
    Path("words.json").write_text(json.dumps(words), encoding="utf-8")
    load = ["import", "theirs.pt", "--vocabulary", "words.json", "--level", "token", "--context", "stream"]
    run(*load, "--eos", "<eos>")
    assert perplexity("\n".join(TEST)) == close(perplexity_of(model, [stream(TEST, ids)]))


# --- refusals ---------------------------------------------------------------------------------------------------


def test_other_pytorch_formats_are_refused_with_the_call_that_converts_them(run):
    words, _ = dictionary(LINES)
    model = RNNModel("LSTM", len(words))
    Path("words.json").write_text(json.dumps(words), encoding="utf-8")
    load = ["import", "theirs.pt", "--vocabulary", "words.json", "--level", "token", "--eos", "<eos>"]
    torch.save(model.state_dict(), "theirs.pt", _use_new_zipfile_serialization=False)
    assert "torch.save(torch.load(FILE, weights_only=True), NEW)" in run(*load, code=1)
    torch.save(torch.load("theirs.pt", weights_only=True), "theirs.pt")  # as the message says
    run(*load)
    Path("theirs.npz").unlink()
    torch.save(model, "theirs.pt")
    assert "torch.save(model.state_dict(), FILE)" in run(*load, code=1)
    with pytest.warns():  # TorchScript is deprecated
        torch.jit.trace(model, torch.zeros(3, dtype=torch.int64)).save("theirs.pt")
    assert "torch.save(torch.jit.load(FILE).state_dict(), NEW)" in run(*load, code=1)


def test_state_dicts_of_submodules_are_joined(run, perplexity):
    words, ids = dictionary(LINES)
    model = trained(RNNModel("LSTM", len(words)), [stream(LINES, ids)])
    torch.save({name: part.state_dict() for name, part in model.named_children()} | {"epoch": 3}, "theirs.pt")
    Path("words.json").write_text(json.dumps({"idx2word": words, "word2idx": ids}), encoding="utf-8")
    load = ["import", "theirs.pt", "--vocabulary", "words.json", "--level", "token", "--context", "stream"]
    assert "'epoch'" in run(*load, "--eos", "<eos>")
    assert perplexity("\n".join(TEST)) == close(perplexity_of(model, [stream(TEST, ids)]))


def test_options_for_special_tokens_are_refused_for_exports_of_rnnlm(run):
    Path("corpus.txt").write_text("\n".join(LINES * 9) + "\n", encoding="utf-8")
    run("train", "corpus.txt", "--preset", "tiny", "--epochs", "0.2", "--threads", "1", "--level", "token")
    run("export", "--to", "torch")
    assert "was written by rnnlm" in run("import", "rnnlm.pt", "-o", "again.npz", "--eos", ".", code=1)
    run("ngram", "train", "corpus.txt", "--arpa", "m.arpa", "--order", "2")
    assert "--unk <unk> does not go with it" in run("import", "m.arpa", "--unk", "<unk>", code=1)


def test_a_file_with_two_networks_is_refused_with_their_names(run):
    words, _ = dictionary(LINES)
    state = RNNModel("LSTM", len(words)).state_dict()
    torch.save({"live": state, "average": {name: each.clone() for name, each in state.items()}}, "theirs.pt")
    Path("words.json").write_text(json.dumps(words), encoding="utf-8")
    said = run("import", "theirs.pt", "--vocabulary", "words.json", "--level", "token", "--eos", "<eos>", code=1)
    assert "layers under the names average.rnn., live.rnn." in said


def test_integers_in_place_of_weights_are_refused(run):
    words, _ = dictionary(LINES)
    state = RNNModel("LSTM", len(words)).state_dict()
    state["rnn.weight_hh_l0"] = torch.zeros_like(state["rnn.weight_hh_l0"], dtype=torch.int8)
    torch.save(state, "theirs.pt")
    Path("words.json").write_text(json.dumps(words), encoding="utf-8")
    said = run("import", "theirs.pt", "--vocabulary", "words.json", "--level", "token", "--eos", "<eos>", code=1)
    assert "'rnn.weight_hh_l0' is a tensor of torch.int8" in said
    assert np.all([path.suffix != ".npz" for path in Path().iterdir()])
