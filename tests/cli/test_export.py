"""rnnlm export and rnnlm import: a model goes to other programs and comes back, and what cannot be is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from rnnlm import LanguageModel
from rnnlm.cli import run

SENTENCES = [
    "我 昨天 上学 迟到 了 ， 老师 批评 了 我 。",
    "他 今天 上学 迟到 了 ， 妈妈 批评 了 他 。",
    "我 的 手机 坏 了 ， 我 打算 买 一部 新 手机 。",
    "弟弟 的 书包 坏 了 ， 他 打算 换 一个 新 书包 。",
]
SMALL = ["--hidden-size", "8", "--embedding-size", "8", "--bptt", "8", "--batch-size", "4", "--threads", "1"]
NEEDED = {"torch": "torch", "safetensors": "safetensors.numpy", "onnx": "onnx"}
EXTENSIONS = {"torch": ".pt", "safetensors": ".safetensors", "onnx": ".onnx"}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(SENTENCES * 20) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> bytes:
    """The file of a model that was trained, with its training state."""
    folder = tmp_path_factory.mktemp("trained")
    text = folder / "corpus.txt"
    text.write_text("\n".join(SENTENCES * 20) + "\n", encoding="utf-8")
    assert run(["train", str(text), "-o", str(folder / "m.npz"), *SMALL, "--epochs", "1"]) == 0
    return (folder / "m.npz").read_bytes()


@pytest.fixture
def model(trained, tmp_path, monkeypatch) -> Path:
    """The same in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "rnnlm.npz"
    path.write_bytes(trained)
    return path


@pytest.fixture(params=["torch", "safetensors"])
def kind(request):
    pytest.importorskip(NEEDED[request.param], reason=f"{request.param} is not installed")
    return request.param


@pytest.fixture
def answer(capsys):
    """What a command answers; it succeeds."""

    def ask(*arguments):
        capsys.readouterr()
        assert run(list(arguments)) == 0
        return capsys.readouterr().out

    return ask


@pytest.fixture
def refusal(capsys):
    """What a command that fails says, in one line."""

    def ask(*arguments, code=1):
        capsys.readouterr()
        assert run(list(arguments)) == code
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert "Traceback" not in said
        return said

    return ask


@pytest.mark.parametrize("to", NEEDED)
def test_two_files_are_written_and_named(to, model, capsys):
    pytest.importorskip(NEEDED[to], reason=f"{to} is not installed")
    before = model.read_bytes()
    capsys.readouterr()
    assert run(["export", "--to", to]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    for path in (model.with_suffix(EXTENSIONS[to]), model.with_name("rnnlm.vocabulary.json")):
        assert path.name in printed.err
        assert path.stat().st_size > 100
    assert model.read_bytes() == before
    assert not [path for path in model.parent.iterdir() if path.name.startswith(".rnnlm-")]


def test_the_best_parameters_go_and_come_back(kind, model, answer):
    assert run(["export", "--to", kind]) == 0
    assert run(["import", f"rnnlm{EXTENSIONS[kind]}", "-o", "again.npz"]) == 0
    old, new = LanguageModel.load(model), LanguageModel.load("again.npz")
    for name, array in old.network.params.items():
        assert new.network.params[name].tobytes("C") == array.tobytes("C"), name
    text = model.parent / "text.txt"
    text.write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    for question in (
        ["predict", "我 昨天", "--json"],
        ["sample", "--seed", "3", "--length", "9"],
        ["eval", str(text), "--json"],
        ["score", str(text), "--json"],
        ["fill", "我 ____ 上学", "--json"],
    ):
        again = answer(*question, "-m", "again.npz").replace(
            '"trained_on_this_text": null', '"trained_on_this_text": false'
        )
        assert again == answer(*question, "-m", "rnnlm.npz")  # an imported model does not know its text


def test_an_imported_model_is_no_training_but_can_start_one(kind, model, corpus, answer, refusal):
    assert run(["export", "--to", kind]) == 0
    assert run(["import", f"rnnlm{EXTENSIONS[kind]}", "-o", "again.npz"]) == 0
    facts = json.loads(answer("info", "again.npz", "--json"))
    assert facts["training"]["imported"] == kind
    assert facts["training"]["steps"] is None
    assert f"none: imported ({kind})" in answer("info", "again.npz")
    assert "imported" not in json.loads(answer("info", "rnnlm.npz", "--json"))["training"]
    said = refusal("train", str(corpus), "-o", "again.npz", "--resume", "--epochs", "5")
    assert "imported" in said
    assert "--init-from again.npz" in said
    begin = [
        "train",
        str(corpus),
        "-o",
        "new.npz",
        "--init-from",
        "again.npz",
        *SMALL,
        "--lr",
        "1e-9",
        "--epochs",
        "0.1",
        "--force",
    ]
    assert run(begin) == 0
    nats = [
        json.loads(answer("eval", str(corpus), "-m", m, "--json"))["nats_per_token"] for m in ("rnnlm.npz", "new.npz")
    ]
    assert nats[0] == pytest.approx(nats[1], abs=1e-4)
    assert "contradicts" in refusal(*begin, "--cell", "gru")


@pytest.mark.parametrize(
    "options",
    [
        ["--cell", "rnn", "--activation", "relu", "--embedding-size", "0"],
        ["--cell", "gru", "--level", "char", "--num-layers", "2"],
        ["--tied"],
        ["--softmax", "adaptive"],
        ["--bidirectional"],
    ],
)
def test_every_sort_of_model_can_be_started_from(options, kind, corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["train", str(corpus), *SMALL, "--epochs", "0.2", *options]) == 0
    assert run(["export", "--to", kind]) == 0
    assert run(["import", f"rnnlm{EXTENSIONS[kind]}", "-o", "again.npz"]) == 0
    short = ["--epochs", "0.2", "--bptt", "8", "--batch-size", "4", "--threads", "1"]
    assert run(["train", str(corpus), "-o", "new.npz", "--init-from", "again.npz", *short]) == 0
    assert LanguageModel.load("new.npz").network.config.to_header() == {
        **LanguageModel.load("rnnlm.npz").network.config.to_header(),
        "dropout": LanguageModel.load("new.npz").network.config.dropout,
    }


def test_a_network_of_other_clusters_is_started_from_with_another_text(model, corpus, tmp_path):
    """Widths of tails that `train` itself never makes are kept when words are mapped."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    tokens = ["<s>", "</s>", "<unk>", *LanguageModel.load(model).vocabulary.tokens]
    layer = torch.nn.AdaptiveLogSoftmaxWithLoss(8, len(tokens), [10], div_value=2.0)
    parts = {"rnn": torch.nn.GRU(8, 8), "encoder": torch.nn.Embedding(len(tokens), 8), "out": layer}
    torch.save(torch.nn.ModuleDict(parts).state_dict(), "theirs.pt")
    Path("tokens.json").write_text(json.dumps(tokens), encoding="utf-8")
    assert run(["import", "theirs.pt", "--vocabulary", "tokens.json", "--level", "word"]) == 0
    more = tmp_path / "more.txt"
    more.write_text("\n".join([*SENTENCES, "姐姐 的 手表 坏 了 。"] * 9) + "\n", encoding="utf-8")
    begin = ["train", str(more), "-o", "new.npz", "--init-from", "theirs.npz", "--init-vocabulary", "map"]
    assert run([*begin, "--epochs", "0.2", "--batch-size", "4", "--threads", "1"]) == 0
    assert LanguageModel.load("new.npz").network.config.div_value == 2.0


def test_weights_of_another_program_are_imported(tmp_path, monkeypatch, answer, capsys):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    tokens = ["<s>", "</s>", "<unk>", *"abcdef "]
    parts = {
        "encoder": torch.nn.Embedding(len(tokens), 5),
        "rnn": torch.nn.RNN(5, 7, 2),
        "decoder": torch.nn.Linear(7, len(tokens)),
    }
    theirs = torch.nn.ModuleDict(parts)
    torch.save({"epoch": 4, "state_dict": theirs.state_dict()}, "theirs.pt")
    Path("tokens.json").write_text(json.dumps(tokens), encoding="utf-8")
    found = ["import", "theirs.pt", "--vocabulary", "tokens.json", "--level", "char", "--activation", "tanh"]
    assert run(found) == 0
    said = capsys.readouterr().err
    assert "decoder.weight is taken as output.weight" in said
    assert "RNN (tanh) 2 x 7, embedding 5" in said
    ids = torch.tensor([[0], [3], [4]])  # <s> a b
    with torch.no_grad():
        expected = theirs["decoder"](theirs["rnn"](theirs["encoder"](ids))[0][-1, 0]).softmax(-1).numpy()
    candidates = json.loads(answer("predict", "ab", "-m", "theirs.npz", "--json"))["candidates"]
    assert len(candidates) == 8
    for candidate in candidates:
        assert candidate["probability"] == pytest.approx(expected[tokens.index(candidate["token"])], rel=1e-5)


def test_files_that_are_there_are_replaced_only_by_force(kind, model, refusal):
    extension = EXTENSIONS[kind]
    assert run(["export", "--to", kind]) == 0
    assert "rnnlm" + extension + " is there already" in refusal("export", "--to", kind)
    assert run(["export", "--to", kind, "--force"]) == 0
    before = model.read_bytes()
    assert "rnnlm.npz is there already" in refusal("import", f"rnnlm{extension}")
    assert model.read_bytes() == before
    assert run(["import", f"rnnlm{extension}", "--force"]) == 0
    assert model.read_bytes() != before  # without the state of the training
    other = model.with_name("rnnlm.vocabulary.json")
    other.write_text("{}", encoding="utf-8")
    assert run(["export", "--to", kind, "-o", f"rnnlm.second{extension}"]) == 0  # has a vocabulary of its own
    model.with_suffix(extension).unlink()
    assert "rnnlm.vocabulary.json is there already" in refusal("export", "--to", kind)
    assert other.read_text(encoding="utf-8") == "{}"


def test_two_formats_share_one_vocabulary(model):
    for to, module in NEEDED.items():
        pytest.importorskip(module, reason=f"{to} is not installed")
        assert run(["export", "--to", to]) == 0


def test_nothing_replaces_what_it_is_made_of(kind, model, refusal):
    before = model.read_bytes()
    for options in ([], ["--force"]):
        said = refusal("export", "--to", kind, "-o", "rnnlm.npz", *options)
        assert "would replace the model" in said
        assert "would replace the model" in refusal("export", "--to", kind, "-o", "./rnnlm.npz", *options)
    Path("link.bin").symlink_to("rnnlm.npz")
    assert "would replace the model" in refusal("export", "--to", kind, "-o", "link.bin", "--force")
    assert model.read_bytes() == before
    assert run(["export", "--to", kind]) == 0
    weights = model.with_suffix(EXTENSIONS[kind])
    for path in (weights, model.with_name("rnnlm.vocabulary.json")):
        before = path.read_bytes()
        assert "is a file to import" in refusal("import", weights.name, "-o", path.name, "--force")
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["export"], "onnx", 2),
        (["export", "--to", "keras"], "keras", 2),
        (["export", "--to", "torch", "-o", "-"], "two files", 2),
        (["export", "--to", "torch", "-o", "none/m.pt"], "folder", 1),
        (["export", "--to", "torch", "-m", "none.npz"], "none.npz does not exist", 1),
        (["export", "--to", "torch", "-m", "bigram.npz"], "ngram train --arpa", 1),
        (["import", "none.pt"], "--vocabulary", 1),
        (["import", "rnnlm.npz", "--vocabulary", "tokens.json", "-o", "m.npz"], "checkpoint of rnnlm already", 1),
        (["import", "corpus.txt", "--vocabulary", "tokens.json"], "begins like neither", 1),
        (["import", "corpus.txt", "--vocabulary", "corpus.txt"], "corpus.txt is not JSON", 1),
        (["import", "corpus.txt", "-o", "-"], "a checkpoint is a file", 2),
        (["import", "corpus.txt", "-o", "none/m.npz"], "folder", 1),
    ],
)
def test_what_can_not_be_is_refused_in_a_sentence(arguments, words, code, model, corpus, refusal):
    assert run(["ngram", "train", str(corpus), "-o", "bigram.npz", "--order", "2"]) == 0
    Path("tokens.json").write_text(json.dumps(["<s>", "</s>", "<unk>", "a"]), encoding="utf-8")
    before = set(Path().iterdir())
    assert words in refusal(*arguments, code=code)
    assert set(Path().iterdir()) == before


def test_the_vocabulary_file_holds_what_the_checkpoint_says(model):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    assert run(["export", "--to", "torch", "-o", "a.pt"]) == 0
    document = json.loads(Path("a.vocabulary.json").read_text(encoding="utf-8"))
    loaded = LanguageModel.load(model)
    assert document["tokens"][3:] == loaded.vocabulary.tokens
    assert document["counts"][3:] == loaded.vocabulary.counts
    assert document["tokenizer"]["options"] == loaded.tokenizer.options()
    assert np.all(np.array(document["counts"][:3]) == 0)
