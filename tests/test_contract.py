"""The promises of docs/contract.md are kept: nothing recorded in tests/contract.json is missing or different.

Run `python -m tests.contract` after an addition, at the latest before a release.
"""

import copy
import json
import re

import pytest

import rnnlm
from tests.contract import QUESTIONS, WITHOUT_QUESTION, all_options, broken, parameters, present, python_api, read
from tests.pages import ROOT

RECORDED = read()


def test_every_promise_is_kept(tmp_path):
    assert broken(RECORDED, present(tmp_path)) == []


def test_every_command_with_json_has_a_question():
    asked = {name for name in RECORDED["options"] for question in QUESTIONS if f"{question} ".startswith(f"{name} ")}
    answering = {name for name, options in RECORDED["options"].items() if "--json" in options}
    assert answering - asked == set(WITHOUT_QUESTION)
    assert set(QUESTIONS) <= RECORDED["json"].keys()


def test_the_documented_json_keys_are_recorded():
    """These keys are in the table of docs/contract.md."""
    asked = RECORDED["json"]
    assert {
        *("tokens", "oov", "characters", "logprob_nats", "nats_per_token", "perplexity"),
        *("perplexity_excluding_oov", "bits_per_char"),
    } <= asked["eval lines.txt"].keys()
    assert {"context", "candidates[].token", "candidates[].probability"} <= asked["predict the -k 2"].keys()
    assert {"text", "tokens", "oov", "logprob_nats"} <= asked["score lines.txt"].keys()
    assert {"logprob_log10"} <= asked["score lines.txt --base 10"].keys()
    assert {"logprob_bits"} <= asked["score lines.txt --base 2"].keys()
    fill = asked["fill 'the ____ was late' -k 2"].keys()
    assert {"text", "candidates[].tokens", "candidates[].probability", "candidates[].text"} <= fill
    assert {"id", "best", "candidates"} <= asked["rescore lists.txt"].keys()
    assert {"format", "level", "cell", "vocabulary", "parameters", "training"} <= asked["info"].keys()
    assert {
        *("step", "epoch", "seconds", "train_nats_per_token", "valid_nats_per_token"),
        *("learning_rate", "gradient_norm", "tokens_per_second"),
    } == asked["history.jsonl"].keys()


PREDICT = ("python", "functions", "LanguageModel.predict")


@pytest.mark.parametrize(
    ("path", "change", "sentence"),
    [
        (("options",), {"score": None}, "score is gone"),
        (("options", "sample"), {"--top-k": None}, "sample: --top-k is gone"),
        (("options", "predict", "-k"), {"default": 5}, "predict: -k: default is 5; it was 10"),
        (("options", "train", "--cell"), {"choices": ["rnn", "lstm"]}, "train: --cell: choices lack cifg, gru, mingru"),
        (("json", "predict the -k 2"), {"candidates[].probability": None}, "candidates[].probability is gone"),
        (("json", "score lines.txt"), {"tokens": ["list"]}, "score lines.txt: tokens is list; it was number"),
        (("python", "names"), {"load": None}, "load is gone"),
        (("python", "fields", "Evaluation"), {"perplexity": None}, "Evaluation: perplexity is gone"),
        (PREDICT, {"allowed": None}, "LanguageModel.predict: allowed is gone"),
        ((*PREDICT, "k"), {"default": "5"}, "k: default is '5'; it was '10'"),
        ((*PREDICT, "k"), {"given": "by name"}, "k: given is 'by name'; it was 'by place or name'"),
        (PREDICT, {"more": {"given": "by name"}}, "predict: more is new and has to be given"),
    ],
)
def test_a_broken_promise_is_reported_in_a_sentence(path, change, sentence):
    found = copy.deepcopy(RECORDED)
    entry = found
    for name in path:
        entry = entry[name]
    entry |= change
    for name in [name for name, value in change.items() if value is None]:
        del entry[name]
    assert any(sentence in each for each in broken(RECORDED, found)), broken(RECORDED, found)


def test_additions_break_no_promise():
    found = copy.deepcopy(RECORDED)
    found["options"]["new"] = {"--json": {"default": False, "flag": True}}
    found["options"]["train"]["--cell"]["choices"].append("new")
    found["json"]["info"]["new"] = ["text"]
    found["python"]["names"]["new"] = {}
    found["python"]["functions"]["LanguageModel.predict"]["new"] = {"given": "by name", "default": "1"}
    assert broken(RECORDED, found) == []


def test_reordered_parameters_are_reported():
    def before(text, k=10): ...
    def after(k=10, text=""): ...

    recorded, found = copy.deepcopy(RECORDED), copy.deepcopy(RECORDED)
    recorded["python"]["functions"]["f"] = parameters(before)
    found["python"]["functions"]["f"] = parameters(after)
    assert any("f takes k, text; it took text, k." in each for each in broken(recorded, found))


def test_the_interface_is_read_from_the_program():
    assert all_options()["predict"]["-k"]["default"] == 10
    assert python_api()["functions"]["rnnlm.load"]["path"] == {"given": "by place or name"}


def test_there_are_checkpoints_of_every_version_in_the_changelog():
    versions = set(
        re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    made_with = [
        json.loads(path.read_text(encoding="utf-8"))["made_with"].removeprefix("rnnlm ")
        for path in (ROOT / "tests" / "data").glob("*/recorded.json")
    ]
    assert len(versions) >= 5
    assert versions <= set(made_with)


def test_the_changelog_has_this_version():
    assert f"\n## {rnnlm.__version__} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
