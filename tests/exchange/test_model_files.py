import json

import numpy as np
import pytest

from rnnlm import LanguageModel
from rnnlm.baselines.ngram import NgramModel
from rnnlm.cli.export import EXTENSIONS, HTML
from rnnlm.errors import ExchangeError, SavingError
from rnnlm.exchange.model_files import FORMATS, Choices, export, import_model, vocabulary_path
from rnnlm.nn.bidirectional import BidirectionalNetwork

NEEDED = {"torch": "torch", "safetensors": "safetensors"}


@pytest.fixture(params=NEEDED)
def kind(request):
    pytest.importorskip(NEEDED[request.param], reason=f"{request.param} is not installed")
    return request.param


def there_and_back(model, kind, folder, choices=None):
    path = folder / f"m{FORMATS[kind].extension}"
    export(model, kind).save(path)
    imported, _ = import_model(path, vocabulary_path(path), choices)
    imported.save(folder / "again.npz")
    return LanguageModel.load(folder / "again.npz")


def test_a_model_survives_export_and_import(kind, network, model_of, tmp_path):
    model = model_of(network)
    again = there_and_back(model, kind, tmp_path)
    assert again.network.config == network.config
    assert again.vocabulary == model.vocabulary
    assert again.tokenizer.options() == model.tokenizer.options()
    assert again.context == model.context
    assert again.training["imported"] == kind
    assert again.network.params.keys() == network.params.keys()
    for name, array in network.params.items():
        assert again.network.params[name].tobytes("C") == array.tobytes("C"), name
    if not isinstance(network, BidirectionalNetwork):
        assert again.predict("我 昨天", 5) == model.predict("我 昨天", 5)


def test_a_second_export_has_the_same_bytes(kind, make_network, model_of, tmp_path):
    model = model_of(make_network())
    again = there_and_back(model, kind, tmp_path)
    assert export(again, kind) == export(model, kind)


def test_a_bare_list_of_tokens_needs_level_and_activation(kind, make_network, model_of, tmp_path):
    model = model_of(make_network(cell="rnn", activation="relu"))
    path = tmp_path / f"m{FORMATS[kind].extension}"
    export(model, kind).save(path)
    tokens = tmp_path / "tokens.json"
    tokens.write_text(json.dumps(["<s>", "</s>", "<unk>", *map(chr, range(97, 117))]))
    with pytest.raises(ExchangeError, match="--activation"):
        import_model(path, tokens)
    with pytest.raises(ExchangeError, match="--level word, --level token or --level char"):
        import_model(path, tokens, Choices("relu"))
    char, _ = import_model(path, tokens, Choices("relu", "char"))
    word, _ = import_model(path, tokens, Choices("relu", "word", "stream", "spaces"))
    assert (char.level, char.context, char.network.config.activation) == ("char", "stream", "relu")
    assert (word.level, word.context, word.tokenizer.settings()["segmenter"]) == ("word", "stream", "spaces")


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (Choices(level="char"), "--level char contradicts"),
        (Choices(context="stream"), "--context stream contradicts"),
        (Choices(segmenter="jieba"), "--segmenter jieba contradicts"),
    ],
)
def test_options_must_not_contradict_the_vocabulary_file(choices, words, kind, make_network, model_of, tmp_path):
    with pytest.raises(ExchangeError, match=words):
        there_and_back(model_of(make_network()), kind, tmp_path, choices)


def test_files_of_different_models_are_refused(kind, make_network, model_of, tmp_path):
    paths = []
    for size in (23, 24):
        paths.append(tmp_path / f"{size}{FORMATS[kind].extension}")
        export(model_of(make_network(vocabulary_size=size)), kind).save(paths[-1])
    with pytest.raises(ExchangeError, match="vocabulary_size 23, the vocabulary file is of one with 24"):
        import_model(paths[0], vocabulary_path(paths[1]))
    tokens = tmp_path / "tokens.json"
    tokens.write_text(json.dumps(["<s>", "</s>", "<unk>", "a"]))
    with pytest.raises(ExchangeError, match=r"has 4 tokens, 3 of them reserved; the weights in .* are for 23"):
        import_model(paths[0], tokens, Choices(level="word"))


def test_level_char_refuses_tokens_of_several_characters(kind, make_network, model_of, tmp_path):
    path = tmp_path / f"m{FORMATS[kind].extension}"
    export(model_of(make_network()), kind).save(path)
    document = json.loads(vocabulary_path(path).read_text(encoding="utf-8"))
    vocabulary_path(path).write_text(json.dumps({"tokens": document["tokens"]}))
    with pytest.raises(ExchangeError, match="'昨天', which is not one character"):
        import_model(path, vocabulary_path(path), Choices(level="char"))


def test_an_ngram_model_is_refused(make_network, model_of):
    model = model_of(make_network())
    model.predictor = NgramModel.train(np.array([3, 4, 1]), 23, 2, "sentence")
    for to in FORMATS:
        with pytest.raises(ExchangeError, match=r"ngram.*--arpa"):
            export(model, to)


def test_a_failed_export_leaves_the_old_files(make_network, model_of, tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    files = export(model_of(make_network()), "torch")
    path = tmp_path / "m.pt"
    files.save(path)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    with pytest.raises(SavingError, match="cannot be written"):
        files.save(tmp_path / "none" / "m.pt")
    path.unlink()
    path.mkdir()
    with pytest.raises(SavingError, match="is not a file"):
        files._replace(vocabulary=b"{}").save(path)
    after = {each.name: each.read_bytes() for each in tmp_path.iterdir() if each.is_file()}
    assert after == {name: content for name, content in before.items() if name != "m.pt"}


def test_the_command_line_has_the_same_formats():
    pages = {HTML: ".html"}  # the format of the playground
    assert {to: format_.extension for to, format_ in FORMATS.items()} | pages == EXTENSIONS


@pytest.mark.parametrize("wrong", ["weights", "counts"])
def test_import_refuses_a_model_that_could_not_be_loaded_again(make_network, model_of, tmp_path, wrong, rnnlm):
    pytest.importorskip("safetensors")
    model = model_of(make_network())
    if wrong == "weights":
        model.network.params["output.bias"][3] = 2e10
    path = tmp_path / "m.safetensors"
    export(model, "safetensors").save(path)
    if wrong == "counts":
        document = json.loads(vocabulary_path(path).read_text("utf-8"))
        document["counts"][5] = 2**62
        vocabulary_path(path).write_text(json.dumps(document), encoding="utf-8")
    good = tmp_path / "good.npz"
    model_of(make_network()).save(good)
    before = good.read_bytes()
    rnnlm("import", path, "-o", good, "--force", code=1)
    assert good.read_bytes() == before
