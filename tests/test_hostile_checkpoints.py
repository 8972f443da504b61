"""A thousand hostile files of `tests/stress/fuzz_checkpoints.py`, and forgeries that were once accepted."""

import gzip
import warnings

import numpy as np
import pytest

from rnnlm.baselines.arpa import read_arpa
from rnnlm.errors import CheckpointError, RnnlmError
from rnnlm.language_model import LanguageModel
from rnnlm.storage import checkpoint
from rnnlm.text.segmentation import LONGEST_USER_WORD, MOST_USER_CHARACTERS
from rnnlm.text.user_dictionary import parse_user_dictionary
from tests.stress import fuzz_checkpoints as fuzz


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small models of every kind."""
    made = tmp_path_factory.mktemp("models").resolve()
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("RNNLM_CACHE", str(made / "cache"))
        fuzz.make_models(made)
    return made


@pytest.fixture(scope="module")
def models(folder):
    return {model.name: model for model in fuzz.read_models(folder)[0]}


def test_a_thousand_hostile_files_cause_no_fault(folder, models):
    arpa = (folder / "model.arpa").read_bytes()
    judge = fuzz.Judge(folder, list(models.values()), memory=False)  # this process runs other tests, too
    outcomes = {}
    for number in range(1000):
        name, file = fuzz.hostile(2026, number, list(models.values()), arpa)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcomes[number, name] = judge(file, number)
    assert {key: outcome for key, outcome in outcomes.items() if outcome.startswith("fault")} == {}
    refused = sum(outcome == "refused" for outcome in outcomes.values())
    assert 600 < refused < 950  # some changes give a valid model; if all were refused, the test would be useless
    assert {name for _, name in outcomes} >= fuzz.ATTACKS.keys() - {"headers of megabytes, of a gigabyte"}


def test_the_judge_reports_faults(folder, models, monkeypatch):
    model = models["stream"]
    judge = fuzz.Judge(folder, list(models.values()), memory=False)
    header, arrays = fuzz.plain(model)
    honest = fuzz.File(fuzz.forged(header, arrays), fuzz.SAME, model)
    assert honest.content == model.content
    assert judge(honest, 0) == "accepted"
    assert judge(honest._replace(right=fuzz.REFUSED), 0).startswith("fault")
    header["vocabulary"]["tokens"][0] = "x"
    assert judge(honest._replace(content=fuzz.forged(header, arrays)), 0).startswith("fault")

    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(LanguageModel, "from_parts", fail)
    assert judge(honest, 0).startswith("fault")


# Forgeries that were found by fuzzing


@pytest.fixture
def said(models, tmp_path):
    """A function that changes a model and returns the message with which it is refused."""

    def refuse(name, change):
        header, arrays = fuzz.plain(models[name])
        change(header, arrays)
        path = tmp_path / "hostile.npz"
        path.write_bytes(fuzz.forged(header, arrays))
        with pytest.raises(RnnlmError) as caught:
            LanguageModel.load(path)
        assert len(str(caught.value)) < 500
        return str(caught.value)

    return refuse


def test_parameters_of_other_dtypes_are_refused(said):
    def integers(header, arrays):
        arrays["output.bias"] = arrays["output.bias"].astype(np.int8)

    def truths(header, arrays):
        arrays |= {name: array.astype(bool) for name, array in arrays.items()}

    assert "float32 and int8; expected float32" in said("stream", integers)
    assert "are bool; expected float32" in said("stream", truths)


def test_ngram_keys_whose_differences_overflow_are_refused(said):
    def overflow(header, arrays):
        keys = arrays["ngram.2.keys"].copy()
        keys[1:3] = 2**62 + 5, -(2**62) - 10
        assert (np.diff(keys) > 0).all()
        arrays["ngram.2.keys"] = keys

    def above_one(header, arrays):
        arrays["ngram.1.backoff"] = arrays["ngram.1.backoff"] + np.float32(300)

    def unused(header, arrays):
        arrays["ngram.9.keys"] = arrays["ngram.1.keys"]

    for change in (overflow, above_one, unused):
        assert "do not fit together" in said("ngram", change)


def test_a_huge_number_of_clusters_is_refused(said):
    def clusters(header, arrays):
        header["network"] |= {"cutoffs": list(range(3, 100_000)), "div_value": 1.0, "vocabulary_size": 2**31 - 1}

    assert "cutoffs has 99,997 values; expected 0 to 100" in said("adaptive", clusters)


def test_messages_do_not_repeat_long_values(said):
    for key in ("kind", "context", "tokenizer", "network", "training"):
        said("stream", lambda header, _, key=key: header.update({key: "x" * 10**5}))
        said("stream", lambda header, _, key=key: header.update({key: [["x"] * 300] * 300}))
    said("stream", lambda header, _: header["network"].update({"x" * 10**5: 1}))
    said("stream", lambda header, _: header["network"].update({"cell": "x" * 10**5}))
    said("one-hot", lambda header, _: header["tokenizer"]["options"].update({"segmenter": "x" * 10**5}))


def test_counts_above_the_limit_are_refused(said):
    said("stream", lambda header, _: header["vocabulary"]["counts"].__setitem__(0, 2**53 + 1))


def test_huge_words_of_a_user_dictionary_are_refused(said):
    """Jieba keeps every prefix of a word: a million characters would take 500 GB."""
    for words in (
        [["云" * 10**6, 1]],
        [["x" * LONGEST_USER_WORD, 1]] * (MOST_USER_CHARACTERS // LONGEST_USER_WORD + 1),
    ):
        change = lambda header, _, words=words: header["tokenizer"]["options"].update({"user_dictionary": words})  # noqa: E731
        assert "tokenizer options are damaged" in said("dictionary", change)
        with pytest.raises(RnnlmError, match="characters"):  # such words are refused when training, too
            parse_user_dictionary("\n".join(word for word, _ in words).encode(), "words.txt")


@pytest.mark.parametrize(
    ("part", "value"),
    [("state", []), ("state", {"progress": 3}), ("options", "x"), ("options", [1]), ("corpus", 7), ("corpus", [])],
)
@pytest.mark.parametrize("name", ["stream", "ngram"])
def test_info_accepts_damaged_training_entries(models, tmp_path, name, part, value, rnnlm):
    header, arrays = fuzz.plain(models[name])
    header["training"][part] = value
    path = tmp_path / "strange.npz"
    path.write_bytes(fuzz.forged(header, arrays))
    rnnlm("info", path)
    assert rnnlm("info", path, "--json").json["kind"] in ("rnn", "ngram")


def test_weights_whose_products_overflow_are_refused(models, tmp_path, rnnlm):
    header, arrays = fuzz.plain(models["one-hot"])
    arrays["rnn.weight_ih_l0"] = np.full_like(arrays["rnn.weight_ih_l0"], 3e38)  # with ReLU the states overflow, too
    arrays["output.weight"] = np.full_like(arrays["output.weight"], 3e38) * np.float32([1, -1, 1, -1])  # inf - inf
    path = tmp_path / "hostile.npz"
    path.write_bytes(fuzz.forged(header, arrays))
    assert "weights beyond 1e+10" in rnnlm("score", "--text", "the old cat", "-m", path, "--json", code=1).err


@pytest.mark.parametrize(
    ("name", "value"),
    [("optimizer", "x"), ("optimizer", ["adam"]), ("batch_size", 0), ("batch_size", "4"), ("batch_size", True),
     ("bptt", -1), ("seed", -1), ("lr", "1"), ("lr", -1.0), ("dropout", None), ("dropout", 1), ("schedule", {}),
     ("epochs", 10**30), ("clip", None), ("valid_fraction", 2),
     ("user_dict", "/etc/passwd"), ("loss", "x"), ("init", 0)],
)  # fmt: skip
@pytest.mark.parametrize("way", ["--resume", "--init-from"])
def test_impossible_training_options_are_refused(folder, models, tmp_path, name, value, way, rnnlm):
    header, arrays = fuzz.plain(models["stream"])
    header["training"]["options"][name] = value
    path = tmp_path / "hostile.npz"
    path.write_bytes(fuzz.forged(header, arrays))
    target = ["-o", str(path), "--resume"] if way == "--resume" else ["-o", str(tmp_path / "new.npz"), way, str(path)]
    assert (
        f"as {name}, which is impossible" in rnnlm("train", folder / "text.txt", *target, "--threads", "1", code=1).err
    )


def test_training_options_do_not_override_the_description_of_the_network(folder, models, tmp_path, rnnlm):
    """The description of the network has been checked against its arrays."""
    header, arrays = fuzz.plain(models["stream"])
    lies = {"cell": "gru", "hidden_size": 99, "level": "word", "context": None, "tied": "x"}
    header["training"]["options"] |= lies
    path = tmp_path / "hostile.npz"
    path.write_bytes(fuzz.forged(header, arrays))
    resumed = ["train", str(folder / "text.txt"), "-o", str(path), "--resume", "--threads", "1", "--epochs", "3"]
    rnnlm(*resumed)
    again = checkpoint.read_header(path)["training"]["options"]
    assert [again[n] for n in ("cell", "hidden_size", "level", "context", "tied")] == [
        "lstm",
        4,
        "char",
        "stream",
        False,
    ]


UNIGRAMS = b"\\data\\\nngram 1=3\nngram 2=9999999\n\n\\1-grams:\n-1\t<s>\n-1\t</s>\n-1\ta\n\n\\2-grams:\n"


@pytest.mark.parametrize(
    "trap",
    [b"\\data\\\n" + (b" " * 1000 + b"\n") * (1 << 13), UNIGRAMS + b"-1\ta a\n" * (1 << 20)],
    ids=["lines", "2-grams"],
)
def test_a_compressed_arpa_file_that_unpacks_to_far_more_is_refused(tmp_path, trap):
    (tmp_path / "trap.arpa.gz").write_bytes(gzip.compress(trap))
    with pytest.raises(CheckpointError, match="unpacks to more than 100 times its size"):
        read_arpa(tmp_path / "trap.arpa.gz")


def test_an_ordinary_compressed_arpa_file_is_read(folder, tmp_path):
    (tmp_path / "model.arpa.gz").write_bytes(gzip.compress((folder / "model.arpa").read_bytes()))
    assert read_arpa(tmp_path / "model.arpa.gz")[1] == read_arpa(folder / "model.arpa")[1]
