"""`rnnlm export` and `rnnlm import`: models survive a round trip, and impossible requests are refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from rnnlm import LanguageModel
from rnnlm.cli import run
from tests.sentences import SENTENCES

SMALL = ["--hidden-size", "8", "--embedding-size", "8", "--bptt", "8", "--batch-size", "4", "--threads", "1"]
NEEDED = {"torch": "torch", "safetensors": "safetensors.numpy", "onnx": "onnx"}
EXTENSIONS = {"torch": ".pt", "safetensors": ".safetensors", "onnx": ".onnx"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> bytes:
    """The checkpoint of a trained model, with its training state."""
    folder = tmp_path_factory.mktemp("trained")
    text = folder / "corpus.txt"
    text.write_text("\n".join(SENTENCES * 20) + "\n", encoding="utf-8")
    assert run(["train", str(text), "-o", str(folder / "m.npz"), *SMALL, "--epochs", "1", "--ngram", "0"]) == 0
    return (folder / "m.npz").read_bytes()


@pytest.fixture
def model(trained, tmp_path, monkeypatch) -> Path:
    """A copy of the trained checkpoint in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "rnnlm.npz"
    path.write_bytes(trained)
    return path


@pytest.fixture(params=["torch", "safetensors"])
def kind(request):
    pytest.importorskip(NEEDED[request.param], reason=f"{request.param} is not installed")
    return request.param


@pytest.mark.parametrize("to", NEEDED)
def test_export_writes_two_files_and_names_them(to, model, rnnlm):
    pytest.importorskip(NEEDED[to], reason=f"{to} is not installed")
    before = model.read_bytes()
    printed = rnnlm("export", "--to", to)
    assert printed.out == ""
    for path in (model.with_suffix(EXTENSIONS[to]), model.with_name("rnnlm.vocabulary.json")):
        assert path.name in printed.err
        assert path.stat().st_size > 100
    assert model.read_bytes() == before
    assert not [path for path in model.parent.iterdir() if path.name.startswith(".rnnlm-")]


def test_the_best_parameters_survive_a_round_trip(kind, model, rnnlm):
    rnnlm("export", "--to", kind)
    rnnlm("import", f"rnnlm{EXTENSIONS[kind]}", "-o", "again.npz")
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
        again = rnnlm(*question, "-m", "again.npz").out.replace(
            '"trained_on_this_text": null', '"trained_on_this_text": false'
        )
        assert again == rnnlm(*question, "-m", "rnnlm.npz").out  # an imported model does not record its text


def test_an_imported_model_cannot_be_resumed_but_started_from(kind, model, corpus, rnnlm):
    rnnlm("export", "--to", kind)
    rnnlm("import", f"rnnlm{EXTENSIONS[kind]}", "-o", "again.npz")
    facts = rnnlm("info", "again.npz", "--json").json
    assert facts["training"]["imported"] == kind
    assert facts["training"]["steps"] is None
    assert f"none: imported ({kind})" in rnnlm("info", "again.npz").out
    assert "imported" not in rnnlm("info", "rnnlm.npz", "--json").json["training"]
    said = rnnlm("train", corpus, "-o", "again.npz", "--resume", "--epochs", "5", code=1).last
    assert "imported" in said
    assert "--init-from again.npz" in said
    begin = [
        *("train", str(corpus), "-o", "new.npz", "--init-from", "again.npz"),
        *SMALL,
        *("--lr", "1e-9", "--epochs", "0.1", "--ngram", "0", "--force"),
    ]
    rnnlm(*begin)
    nats = [rnnlm("eval", corpus, "-m", m, "--json").json["nats_per_token"] for m in ("rnnlm.npz", "new.npz")]
    assert nats[0] == pytest.approx(nats[1], abs=1e-4)
    assert "contradicts" in rnnlm(*begin, "--cell", "gru", code=1).last


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
def test_every_kind_of_model_can_be_started_from(options, kind, corpus, tmp_path, monkeypatch, rnnlm):
    monkeypatch.chdir(tmp_path)
    rnnlm("train", corpus, *SMALL, "--epochs", "0.2", *options)
    rnnlm("export", "--to", kind)
    rnnlm("import", f"rnnlm{EXTENSIONS[kind]}", "-o", "again.npz")
    short = ["--epochs", "0.2", "--bptt", "8", "--batch-size", "4", "--threads", "1"]
    rnnlm("train", corpus, "-o", "new.npz", "--init-from", "again.npz", *short)
    assert LanguageModel.load("new.npz").network.config.to_header() == {
        **LanguageModel.load("rnnlm.npz").network.config.to_header(),
        "dropout": LanguageModel.load("new.npz").network.config.dropout,
    }


def test_a_network_with_other_clusters_can_be_started_from_with_another_text(model, corpus, tmp_path, rnnlm):
    """Tail widths that `train` never chooses are kept when the vocabulary changes."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    tokens = ["<s>", "</s>", "<unk>", *LanguageModel.load(model).vocabulary.tokens]
    layer = torch.nn.AdaptiveLogSoftmaxWithLoss(8, len(tokens), [10], div_value=2.0)
    parts = {"rnn": torch.nn.GRU(8, 8), "encoder": torch.nn.Embedding(len(tokens), 8), "out": layer}
    torch.save(torch.nn.ModuleDict(parts).state_dict(), "theirs.pt")
    Path("tokens.json").write_text(json.dumps(tokens), encoding="utf-8")
    rnnlm("import", "theirs.pt", "--vocabulary", "tokens.json", "--level", "word")
    more = tmp_path / "more.txt"
    more.write_text("\n".join([*SENTENCES, "姐姐 的 手表 坏 了 。"] * 9) + "\n", encoding="utf-8")
    begin = ["train", str(more), "-o", "new.npz", "--init-from", "theirs.npz", "--init-vocabulary", "map"]
    rnnlm(*begin, "--epochs", "0.2", "--batch-size", "4", "--threads", "1")
    assert LanguageModel.load("new.npz").network.config.div_value == 2.0


def test_weights_of_another_program_can_be_imported(tmp_path, monkeypatch, rnnlm):
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
    said = rnnlm(*found).err
    assert "decoder.weight is taken as output.weight" in said
    assert "RNN (tanh) 2 x 7, embedding 5" in said
    ids = torch.tensor([[0], [3], [4]])  # <s> a b
    with torch.no_grad():
        expected = theirs["decoder"](theirs["rnn"](theirs["encoder"](ids))[0][-1, 0]).softmax(-1).numpy()
    candidates = rnnlm("predict", "ab", "-m", "theirs.npz", "--json").json["candidates"]
    assert len(candidates) == 8
    for candidate in candidates:
        assert candidate["probability"] == pytest.approx(expected[tokens.index(candidate["token"])], rel=1e-5)


def test_existing_files_are_replaced_only_with_force(kind, model, rnnlm):
    extension = EXTENSIONS[kind]
    rnnlm("export", "--to", kind)
    assert "rnnlm" + extension + " exists already" in rnnlm("export", "--to", kind, code=1).last
    rnnlm("export", "--to", kind, "--force")
    before = model.read_bytes()
    assert "rnnlm.npz exists already" in rnnlm("import", f"rnnlm{extension}", code=1).last
    assert model.read_bytes() == before
    rnnlm("import", f"rnnlm{extension}", "--force")
    assert model.read_bytes() != before  # without the training state
    other = model.with_name("rnnlm.vocabulary.json")
    other.write_text("{}", encoding="utf-8")
    rnnlm("export", "--to", kind, "-o", f"rnnlm.second{extension}")  # has its own vocabulary
    model.with_suffix(extension).unlink()
    assert "rnnlm.vocabulary.json exists already" in rnnlm("export", "--to", kind, code=1).last
    assert other.read_text(encoding="utf-8") == "{}"


def test_two_formats_share_one_vocabulary(model, rnnlm):
    for to, module in NEEDED.items():
        pytest.importorskip(module, reason=f"{to} is not installed")
        rnnlm("export", "--to", to)


def test_an_export_never_replaces_its_model(kind, model, rnnlm):
    before = model.read_bytes()
    for options in ([], ["--force"]):
        said = rnnlm("export", "--to", kind, "-o", "rnnlm.npz", *options, code=1).last
        assert "would replace the model" in said
        assert "would replace the model" in rnnlm("export", "--to", kind, "-o", "./rnnlm.npz", *options, code=1).last
    Path("link.bin").symlink_to("rnnlm.npz")
    assert "would replace the model" in rnnlm("export", "--to", kind, "-o", "link.bin", "--force", code=1).last
    assert model.read_bytes() == before
    rnnlm("export", "--to", kind)
    weights = model.with_suffix(EXTENSIONS[kind])
    for path in (weights, model.with_name("rnnlm.vocabulary.json")):
        before = path.read_bytes()
        assert "is a file to import" in rnnlm("import", weights.name, "-o", path.name, "--force", code=1).last
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["export"], "html", 2),
        (["export", "--to", "keras"], "keras", 2),
        (["export", "--to", "torch", "-o", "-"], "two files", 2),
        (["export", "--to", "torch", "-o", "none/m.pt"], "folder", 1),
        (["export", "--to", "torch", "--bits", "8"], "--bits is for --to html", 2),
        (["export", "--to", "html", "--vocabulary", "tokens.json"], "--vocabulary is for --to sherpa", 2),
        (["export", "--to", "html", "-o", "-"], "give its name", 2),
        (["export", "--to", "html", "-o", "none/m.html"], "folder", 1),
        (["export", "--to", "html", "-m", "bigram.npz"], "recurrent network", 1),
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
def test_impossible_requests_are_refused_in_a_sentence(arguments, words, code, model, corpus, rnnlm):
    rnnlm("ngram", "train", corpus, "-o", "bigram.npz", "--order", "2")
    Path("tokens.json").write_text(json.dumps(["<s>", "</s>", "<unk>", "a"]), encoding="utf-8")
    before = set(Path().iterdir())
    assert words in rnnlm(*arguments, code=code).last
    assert set(Path().iterdir()) == before


def test_the_vocabulary_file_agrees_with_the_checkpoint(model, rnnlm):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    rnnlm("export", "--to", "torch", "-o", "a.pt")
    document = json.loads(Path("a.vocabulary.json").read_text(encoding="utf-8"))
    loaded = LanguageModel.load(model)
    assert document["tokens"][3:] == loaded.vocabulary.tokens
    assert document["counts"][3:] == loaded.vocabulary.counts
    assert document["tokenizer"]["options"] == loaded.tokenizer.options()
    assert np.all(np.array(document["counts"][:3]) == 0)


def test_a_page_is_one_file_and_the_loss_by_rounding_is_reported(model, rnnlm):
    before = set(Path().iterdir())
    printed = rnnlm("export", "--to", "html")
    assert printed.out == ""
    assert {path.name for path in set(Path().iterdir()) - before} == {"rnnlm.html"}
    lost = {}
    for bits in ("16", "8"):
        said = rnnlm("export", "--to", "html", "--bits", bits, "-o", f"{bits}.html").err
        found = re.search(
            rf"^{bits} bits for each parameter change .* by (\S+) nats on average and (\S+) at most", said
        )
        mean, largest = map(float, found.groups())
        assert 0 < mean < largest
        lost[bits] = largest
    assert 20 * lost["16"] < lost["8"]
    assert Path("16.html").read_bytes() == Path("rnnlm.html").read_bytes()
    assert Path("8.html").stat().st_size < Path("16.html").stat().st_size
    assert "rnnlm.html exists already" in rnnlm("export", "--to", "html", code=1).last
    rnnlm("export", "--to", "html", "--force")
    before_model = model.read_bytes()
    assert "would replace the model" in rnnlm("export", "--to", "html", "-o", "rnnlm.npz", "--force", code=1).last
    assert model.read_bytes() == before_model


def test_export_reports_an_ngram_that_a_page_leaves_out(corpus, tmp_path, monkeypatch, rnnlm):
    monkeypatch.chdir(tmp_path)
    rnnlm("train", corpus, *SMALL, "--epochs", "0.2", "--ngram", "2")
    assert "The 2-gram that is mixed with the network is left out" in rnnlm("export", "--to", "html").err
