import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from rnnlm.cli.lab import lab
from rnnlm.cli.tables import display_width
from rnnlm.errors import CorpusError, RnnlmError
from rnnlm.nn.cells import CELLS
from rnnlm.nn.initializers import INITIALIZERS
from rnnlm.nn.numerics import ACTIVATIONS
from rnnlm.nn.outputs import LOSSES
from tests.cli.lab_commands import failure, objects, run

ARTICLE = "我 昨天 上学 迟到 了 ， 老师 批评 了 我 。"
TOKENS = ARTICLE.split()


# --- pairs


def test_pairs_of_the_article_are_each_token_and_its_successor():
    assert objects(run("pairs", ARTICLE, "--json")) == [
        {"input": read, "label": label} for read, label in zip(["<s>", *TOKENS], [*TOKENS, "</s>"], strict=True)
    ]


def test_pairs_are_numbered_and_aligned():
    lines = run("pairs", ARTICLE).stdout.splitlines()
    assert [line.split() for line in lines[1:]] == [
        [str(i), read, "->", label]
        for i, (read, label) in enumerate(zip(["<s>", *TOKENS], [*TOKENS, "</s>"], strict=True), 1)
    ]
    assert len({display_width(line[: line.index("->")]) for line in lines[1:]}) == 1


def test_pairs_can_be_made_of_characters():
    found = objects(run("pairs", "昨天 a", "--level", "char", "--json"))
    assert [pair["label"] for pair in found] == ["昨", "天", " ", "a", "</s>"]
    assert "␣" in run("pairs", "昨天 a", "--level", "char").stdout


def test_every_line_makes_its_own_pairs():
    found = objects(run("pairs", "-", "--json", stdin="我 昨天\n\n了\n"))
    assert [pair["input"] for pair in found] == ["<s>", "我", "昨天", "<s>", "了"]


def test_json_is_utf8_and_the_only_output():
    result = run("pairs", ARTICLE, "--json")
    assert result.stdout.startswith('{"input": "<s>", "label": "我"}\n')
    assert len(result.stdout.splitlines()) == 12


@pytest.mark.parametrize("command", ["pairs", "onehot", "gradcheck"])
@pytest.mark.parametrize("text", ["", " \n "])
def test_a_text_without_tokens_is_an_expected_failure(command, text):
    assert "no tokens" in failure(CorpusError, command, text)


@pytest.mark.parametrize("command", ["pairs", "onehot", "gradcheck"])
def test_an_argument_that_is_not_utf8_is_a_usage_error(command):
    assert "UTF-8" in run(command, "\udcff", code=2).stderr


# --- onehot


def test_one_hot_vectors_of_the_article_have_their_1_at_the_id():
    found = objects(run("onehot", ARTICLE, "--json"))
    assert [each["token"] for each in found] == TOKENS
    size = 3 + len(set(TOKENS))
    for each in found:
        assert each["vector"] == [int(i == each["id"]) for i in range(size)]
    assert len({each["id"] for each in found}) == len(set(TOKENS))
    assert min(each["id"] for each in found) == 3


def test_the_product_with_u_is_shown_as_a_column_of_u():
    output = run("onehot", ARTICLE).stdout
    lines = output.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("U ("))
    U = np.array([[float(x) for x in line.split()] for line in lines[start + 3 : start + 6]])
    first = next(i for i, line in enumerate(lines) if line.startswith("token") and "one-hot" in line)
    for token, line in zip(TOKENS, lines[first + 1 :], strict=False):
        shown, i, *numbers = line.split()
        assert shown == token
        vector, product = np.array(numbers[:-3], float), np.array(numbers[-3:], float)
        np.testing.assert_array_equal(U @ vector, product)
        np.testing.assert_array_equal(U[:, int(i)], product)
    assert "11 of 11 products" in output


def test_long_vectors_are_abbreviated():
    text = " ".join(f"w{i}" for i in range(40))
    output = run("onehot", text).stdout
    assert "1 0 … 0 (43 entries, 1 at 3)" in output
    assert "0 … 0 1 (43 entries, 1 at 42)" in output
    assert "0 … 0 1 0 … 0 (43 entries, 1 at 20)" in output
    assert "too wide" in output
    assert len(objects(run("onehot", text, "--json"))[0]["vector"]) == 43


@pytest.fixture(params=[0, 2], ids=["one-hot", "embedding"])
def model_path(request, tmp_path):
    from rnnlm.lab.sentences import vocabulary_of
    from rnnlm.language_model import LanguageModel
    from rnnlm.nn.network import Network, NetworkConfig
    from rnnlm.text.tokenizers import tokenizer_class

    vocabulary = vocabulary_of(TOKENS)
    config = NetworkConfig(len(vocabulary), "lstm", hidden_size=4, embedding_size=request.param)
    network = Network.initialize(config, np.random.default_rng(0))
    path = tmp_path / "model.npz"
    LanguageModel(tokenizer_class("word")(), vocabulary, network, "sentence").save(path)
    return path


def test_onehot_uses_the_vocabulary_and_u_of_a_model(model_path):
    result = run("onehot", "老师 今天 了", "-m", model_path, "--json")
    ids = {each["token"]: each["id"] for each in objects(run("onehot", ARTICLE, "--json"))}
    found = objects(result)
    assert [each["id"] for each in found] == [ids["老师"], 2, ids["了"]]
    assert {len(each["vector"]) for each in found} == {3 + len(set(TOKENS))}
    assert "今天" in result.stderr
    shown = run("onehot", "老师 了", "-m", model_path).stdout
    assert "2 of 2 products" in shown
    assert "weight" in shown


def test_a_model_determines_the_level(model_path):
    assert "--level" in run("onehot", "我", "-m", model_path, "--level", "char", code=2).stderr


# --- softmax


def test_softmax_of_the_article_has_the_printed_values():
    found = objects(run("softmax", 1, 2, 3, 4, "--json"))
    powers = np.exp([1.0, 2, 3, 4])
    assert found == [{"inputs": [1, 2, 3, 4], "probabilities": pytest.approx(powers / powers.sum())}]
    shown = run("softmax", 1, 2, 3, 4).stdout
    assert "= 0.03 0.09 0.24 0.64\n" in shown
    for number in ("2.71828", "7.38906", "20.0855", "54.5982", "84.791", "sum / sum = 1"):
        assert number in shown


@pytest.mark.parametrize(
    "arguments", [["-1.5", "0", "-2e1"], ["--", "-1.5", "0", "-2e1"], ["-"], ["-1.5", "-"]], ids=" ".join
)
def test_softmax_reads_negative_numbers_and_stdin(arguments):
    stdin = "0\n-2e1\n" if len(arguments) == 2 else "-1.5 0\n-2e1\n"
    [found] = objects(run("softmax", "--json", *arguments, stdin=stdin))
    assert found["inputs"] == [-1.5, 0, -20]


def test_options_may_follow_numbers():
    for arguments in (["-1", "--temperature", "0.5", "-2", "--json"], ["--json", "--temperature=0.5", "-1", "-2"]):
        [found] = objects(run("softmax", *arguments))
        assert found["inputs"] == [-1, -2]
        assert found["probabilities"] == pytest.approx([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))])


def test_softmax_of_large_numbers_does_not_overflow():
    [found] = objects(run("softmax", 1000, 2000, "--json"))
    assert found["probabilities"] == [0, 1]
    assert "too large" in run("softmax", 1000, 2000).stdout
    assert "Here it is needed" in run("softmax", -1000, -2000).stdout


@pytest.mark.parametrize(
    "arguments",
    [["nan"], ["1", "inf"], ["-inf"], ["1e999"], ["one"], ["-x"], ["--unknown", "1"], [], ["1", "--temperature", "0"],
     ["1", "--temperature", "nan"], ["1", "--temperature", "inf"], ["1", "--temperature", "-1"]],
    ids=" ".join,
)  # fmt: skip
def test_softmax_of_anything_but_finite_numbers_is_a_usage_error(arguments):
    result = run("softmax", *arguments, code=2)
    assert result.stdout == ""
    assert "Error" in result.stderr


def test_softmax_of_an_empty_stdin_is_a_usage_error():
    assert "no numbers" in run("softmax", "-", code=2, stdin=" \n").stderr


# --- gradcheck


@pytest.mark.parametrize(
    "arguments",
    [*(["--activation", activation] for activation in ACTIVATIONS), *(["--cell", cell] for cell in CELLS),
     *(["--loss", loss] for loss in LOSSES)],
    ids=" ".join,
)  # fmt: skip
def test_gradients_of_the_network_pass(arguments):
    result = run("gradcheck", *arguments)
    assert "agree" in result.stdout
    cell = arguments[1] if arguments[0] == "--cell" else "rnn"
    assert all(f"rnn.{part}_l0" in result.stdout for part in CELLS[cell].parts)


def test_json_has_one_object_per_comparison():
    found = objects(run("gradcheck", "--entries", 2, "--num-layers", 2, "--embedding-size", 3, "--json"))
    assert len(found) == 3 * 12
    assert {each["symbol"] for each in found} >= {"E", "U(1)", "U(2)", "W(1)", "W(2)", "V", "b_V", "s_0"}
    for each in found:
        assert each.keys() == {"symbol", "name", "index", "expected", "actual", "relative_error"}
        assert each["expected"] == pytest.approx(each["actual"], rel=1e-5, abs=1e-8)
        assert each["relative_error"] <= 1e-6


def test_gradcheck_depends_on_the_seed_alone():
    first, again, other = (run("gradcheck", "--json", "--seed", seed).stdout for seed in (1, 1, 2))
    assert first == again != other


def test_gradcheck_can_use_the_tokens_of_a_text():
    result = run("gradcheck", ARTICLE, "--json")
    embedding = [each for each in objects(result) if each["name"] == "output.bias" and each["index"]]
    assert all(each["index"][0] < 12 for each in embedding)
    assert "12 steps, 1 column, 12 tokens" in result.stderr


def test_gradcheck_of_a_text_refuses_sizes_of_random_data():
    assert "--steps" in run("gradcheck", ARTICLE, "--steps", 3, code=2).stderr


def test_an_activation_that_the_cell_does_not_use_is_reported():
    assert "not used" in run("gradcheck", "--cell", "lstm", "--activation", "relu").stderr


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_bug_of_the_article_ends_with_exit_code_1(monkeypatch, activation):
    """The article's code multiplies delta by the state instead of f'(state)."""
    function, _ = ACTIVATIONS[activation]
    monkeypatch.setitem(ACTIVATIONS, activation, (function, lambda s, out: np.copyto(out, s) or out))
    result = run("gradcheck", "--activation", activation, code=1)
    assert isinstance(result.exception, SystemExit)
    wrong = {line.split()[0] for line in result.stdout.splitlines() if line.endswith("WRONG")}
    assert wrong == {"U", "W", "b_U", "b_W", "s_0"}
    assert "are wrong, in U, W, b_U, b_W, s_0." in result.stdout
    as_json = run("gradcheck", "--activation", activation, "--json", code=1)
    assert max(each["relative_error"] for each in objects(as_json)) > 1e-6
    assert "are wrong" in as_json.stderr


@pytest.mark.parametrize("arguments", [["--hidden-size", "0"], ["--steps", "0"], ["--cell", "x"], ["--seed", "-1"]])
def test_values_out_of_range_are_usage_errors(arguments):
    run("gradcheck", *arguments, code=2)


def test_a_relu_network_too_large_for_finite_differences_is_refused():
    arguments = ["gradcheck", "--hidden-size", 50, "--steps", 101]
    assert "10,100 times" in run(*arguments, "--activation", "relu", code=2).stderr


# --- all


CHOICES = {"cell": CELLS, "activation": ACTIVATIONS, "loss": LOSSES, "init": INITIALIZERS}


@pytest.mark.parametrize("command", lab.commands)
def test_choices_are_all_members_of_their_family(command):
    for parameter in lab.commands[command].params:
        if parameter.name in CHOICES:
            assert set(parameter.type.choices) == set(CHOICES[parameter.name])


@pytest.mark.parametrize("command", lab.commands)
def test_every_option_has_help(command):
    assert run(command, "-h").stdout.startswith("Usage")
    for parameter in lab.commands[command].params:
        assert not isinstance(parameter, click.Option) or parameter.help


def test_loading_the_commands_does_not_load_numpy():
    program = "import sys, rnnlm.cli.lab; print('numpy' in sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# --- loss and explode


def test_loss_shows_the_example_of_the_article():
    first, *lowered = objects(run("loss", "1", "2", "3", "4", "--json"))
    assert objects(run("loss", "--json"))[0] == first, "it is the example"
    assert first["label"] == 1
    assert first["cross_entropy_nats"] == pytest.approx(-np.log(first["probabilities"][0]))
    expected = np.array(first["probabilities"]) - [1, 0, 0, 0]
    np.testing.assert_allclose(first["cross_entropy_gradient"], expected)
    assert [each["label_lowered_by"] for each in lowered] == sorted({each["label_lowered_by"] for each in lowered})
    shown = run("loss").stdout
    assert "-ln 0.0321 = 3.4402" in shown
    assert f"{lowered[-1]['cross_entropy_nats']:.3f}" in shown
    assert "expected 1 to 2" in run("loss", "1", "2", "--label", 3, code=2).stderr
    assert run("loss", "--", "-1", "-2").stdout == run("loss", "-1", "-2").stdout


def test_a_training_explodes_without_clipping_and_not_with_it():
    found = objects(run("explode", "--json"))
    free, cut = ([each for each in found if bool(each["clip"]) == clipped] for clipped in (False, True))
    assert free[-1]["nats_per_token"] is None, "NaN"
    assert len(free) < len(cut) == 12
    assert cut[-1]["nats_per_token"] < cut[0]["nats_per_token"] == free[0]["nats_per_token"]
    shown = run("explode").stdout
    assert f"NaN at step {free[-1]['step']}." in shown
    assert "NaN" not in run("explode", "--activation", "tanh").stdout, "control: a bounded state"
    assert "--radius" in run("explode", "--cell", "mingru", code=2).stderr


# --- given weights


MINE = '{"U": [[1, 0, 0, 0.5, -0.5], [0, 1, 0, 0.25, 0.5]], "W": [[0.5, -1], [0.25, 0.5]]}'


def test_given_weights_are_used_and_shown(tmp_path):
    (tmp_path / "w.json").write_text(MINE, encoding="utf-8")
    found = objects(run("unroll", "我 昨天", "--weights", tmp_path / "w.json", "--json"))
    states = [each for each in found if "state" in each]
    np.testing.assert_allclose(states[0]["state"], np.tanh([1, 0]))
    expected = np.tanh(np.array([0.5, 0.25]) + np.array([[0.5, -1], [0.25, 0.5]]) @ states[0]["state"])
    np.testing.assert_allclose(states[1]["state"], expected)
    shown = run("unroll", "我 昨天", "--weights", tmp_path / "w.json").stdout
    assert "W =  [ 0.500 -1.000]\n     [ 0.250  0.500]" in shown
    assert " + b" not in shown
    for command in (["bptt", "我 昨天"], ["gradcheck", "我 昨天"]):
        assert "agree" in run(*command, "--weights", tmp_path / "w.json").stdout
    said = failure(RnnlmError, "bptt", "我 昨天 上学", "--weights", tmp_path / "w.json")
    assert "U is 2 x 5; expected 2 x 6" in said
    assert "<s> </s> <unk> 我 昨天 上学" in said
    assert "--weights" in run("bptt", "我", "-m", "m.npz", "--weights", tmp_path / "w.json", code=2).stderr


def test_without_bias_the_formulas_are_those_of_the_article():
    shown = run("unroll", ARTICLE, "--no-bias").stdout
    assert "tanh(U x_t + W s_(t-1))  (formula 2)" in shown
    assert "softmax(V s_t), what x_(t+1) is  (formula 1)" in shown
    assert "b_V" not in shown
    assert "b_V" in run("unroll", ARTICLE).stdout
    assert all(not any(each.get("bias") or [0]) for each in objects(run("unroll", ARTICLE, "--no-bias", "--json"))[:3])
    checked = {each["symbol"] for each in objects(run("gradcheck", "--no-bias", "--json"))}
    assert checked == {"U", "W", "V", "s_0"}


@pytest.mark.parametrize(
    "arguments", [["--num-layers", 2], ["--cell", "lstm"], ["--embedding-size", 2], ["--loss", "mse"]]
)
def test_gradients_of_the_steps_add_up_to_the_shown_sum(arguments):
    *steps, total = objects(run("bptt", ARTICLE, *arguments, "--json"))
    for layer, summed in enumerate(total["u_gradient_sum"]):
        np.testing.assert_allclose(np.sum([each["u_gradient"][layer] for each in steps], axis=0), summed, atol=1e-14)
    np.testing.assert_allclose(
        np.sum([each["v_gradient"] for each in steps], axis=0), total["v_gradient_sum"], atol=1e-14
    )


# --- gradflow of a sentence


def test_gradflow_follows_a_sentence_back_to_its_first_word():
    found = objects(run("gradflow", ARTICLE, "--json"))[0]
    assert found["read"] == ["。", "我", "了", "批评", "老师", "，", "了", "迟到", "上学", "昨天", "我", "<s>"]
    assert found["distance_steps"] == list(range(12))
    assert found["places"] == 1
    shown = run("gradflow", ARTICLE).stdout
    assert re.search(r"^ +1  我 ", shown, re.MULTILINE)
    assert "from formula 3" in shown


@pytest.mark.parametrize("name", ["我昨天.txt", "a folder/我", "missing", "no such file.txt", "missing.gz"])
def test_a_missing_file_is_not_read_as_a_sentence(name):
    assert "does not exist" in failure(RnnlmError, "gradflow", name)


def test_a_file_whose_name_looks_like_a_sentence_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "我 昨天").write_text("一 二 三\n" * 40, encoding="utf-8")
    assert "20 places" in run("gradflow", "我 昨天").stderr
