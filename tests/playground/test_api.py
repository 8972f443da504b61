"""What the page asks: each answer is what the model says, and what the command line says."""

import json
import math

import numpy as np
import pytest

from rnnlm.cli import run
from rnnlm.inference.model import read_prefix
from rnnlm.playground.neurons import correlation, properties
from rnnlm.playground.served import Piece, ServedModel
from rnnlm.text.vocabulary import BOS, UNK

CAUSAL = ["words", "characters", "ngram"]
TEXTS = {
    "words": ["", "我", "我 昨天", "我昨天上学", "我 昨天 上学 迟到 了 。\n\n老师", "the cat in Paris ", "the cat,"],
    "characters": ["", "the\ntin ", '"Tis not', "a question of quizzes"],
    "ngram": ["", "我 昨天 上学", "我昨天\n"],
}
PAIRS = [(name, text) for name, texts in TEXTS.items() for text in texts]


@pytest.fixture(scope="module")
def models(words, characters, ngram):
    return {"words": words, "characters": characters, "ngram": ngram}


def command(capsys, *arguments: str) -> list:
    """What a command prints as JSON."""
    assert run(list(map(str, arguments))) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_models_are_described(client):
    listed = client.ask("GET", "/v1/models").value
    assert listed["object"] == "list"
    words, characters, both, ngram = listed["data"]
    assert words["id"] == "words"
    described = {"level": "word", "context": "sentence", "kind": "rnn", "bidirectional": False}
    assert words | described | {"cell": "gru", "hidden_size": 12, "num_layers": 2, "vocabulary": 16} == words
    assert (characters["level"], characters["context"], characters["cell"]) == ("char", "stream", "lstm")
    assert both["bidirectional"] is True
    assert (ngram["kind"], ngram["cell"], ngram["hidden_size"]) == ("ngram", None, None)


# --- predict ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CAUSAL)
def test_probabilities_sum_to_one(client, models, name):
    model = models[name]
    row = read_prefix(model.causal, np.array([model.start]))[0][0].astype(np.float64)
    candidates = client.value("/api/predict", model=name, text="", k=100)["candidates"]
    total = sum(each["probability"] for each in candidates)
    left_out = np.exp(row[UNK]) + np.exp(row[BOS])
    assert total + left_out == pytest.approx(1, abs=1e-5)
    assert [each["probability"] for each in candidates] == sorted((e["probability"] for e in candidates), reverse=True)


@pytest.mark.parametrize(("name", "text"), PAIRS)
def test_predictions_are_the_models_own(client, models, name, text):
    model = models[name]
    line = text.rpartition("\n")[2] if model.context == "sentence" else text
    expected = model.predict(line, k=5).candidates
    answer = client.value("/api/predict", model=name, text=text, k=5)
    assert answer["context"] == text
    assert [each["token"] for each in answer["candidates"]] == [each.token for each in expected]
    assert [each["probability"] for each in answer["candidates"]] == pytest.approx(
        [each.probability for each in expected], rel=1e-4
    )


@pytest.mark.parametrize(("name", "text"), PAIRS)
def test_a_candidate_that_is_taken_is_read_as_itself(client, models, name, text):
    model = models[name]
    line = text.rpartition("\n")[2]
    for each in client.value("/api/predict", model=name, text=text, k=100)["candidates"]:
        if each["token"] == "</s>":
            assert each["text"] == "\n"
        else:
            assert model.tokens(line + each["text"]) == [*model.tokens(line), each["token"]]


def test_a_candidate_is_spaced_like_the_text(client):
    def texts(text: str) -> dict[str, str]:
        return {each["token"]: each["text"] for each in client.value("/api/predict", text=text, k=100)["candidates"]}

    assert texts("我 昨天")["上学"] == " 上学"
    assert texts("我 昨天 上学 迟到 了")["。"] == " 。"
    assert texts("我昨天")["上学"] == "上学"
    assert texts("the cat")["Paris"] == " Paris"
    assert texts("the cat ")["Paris"] == "Paris"


def test_unknown_tokens_are_named(client):
    assert client.value("/api/predict", text="我 dog 昨天 dog bird")["unknown"] == ["dog", "bird"]


@pytest.mark.parametrize("name", CAUSAL)
def test_typing_key_by_key_changes_no_bit(client, serve, models, name):
    text = "我 昨天 上学 迟到 了 。" * 4 if name != "characters" else "the tin hat is on the stone " * 3
    typed = [client.value("/api/predict", model=name, text=text[:length]) for length in range(len(text) + 1)]
    for length in range(0, len(text) + 1, 17):
        fresh = serve({name: models[name]})
        assert fresh.value("/api/predict", text=text[:length]) == typed[length]


# --- surprise -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "text"), PAIRS)
def test_the_tokens_joined_are_the_text(client, name, text):
    tokens = client.value("/api/surprise", model=name, text=text)["tokens"]
    assert "".join(each["text"] for each in tokens) == text


@pytest.mark.parametrize("name", ["words", "ngram"])
def test_surprise_is_what_score_and_eval_say(client, models, name, tmp_path, capsys):
    lines = ["我 昨天 上学 迟到 了 。", "the cat", "我 昨天 dog 批评 了"]
    text = "".join(f"{line}\n" for line in lines)
    model, file = tmp_path / "model.npz", tmp_path / "text.txt"
    models[name].save(model)
    file.write_text(text, encoding="utf-8")
    answer = client.value("/api/surprise", model=name, text=text)
    scored = command(capsys, "score", file, "-m", model, "--json")
    nats = sum(each["logprob_nats"] for each in scored)
    assert sum(each["bits"] for each in answer["tokens"]) == pytest.approx(-nats / math.log(2), rel=1e-4)
    assert len(answer["tokens"]) == sum(each["tokens"] for each in scored)
    (figures,) = command(capsys, "eval", file, "-m", model, "--json")
    for key in ["perplexity", "nats_per_token", "bits_per_char"]:
        assert answer[key] == pytest.approx(figures[key], rel=1e-4)
    assert sum(each["unknown"] for each in answer["tokens"]) == figures["oov"]


def test_the_first_line_of_a_stream_is_as_surprising_as_any_line(client, models):
    (scored,) = models["characters"].score(["the tin"])
    tokens = client.value("/api/surprise", model="characters", text="the tin\nhat!\n")["tokens"]
    bits = (-scored.log_probabilities / math.log(2)).tolist()
    assert [each["bits"] for each in tokens[: len(bits)]] == pytest.approx(bits, rel=1e-4)
    (alone,) = models["characters"].score(["hat!"])
    assert tokens[-5]["bits"] != pytest.approx(-alone.log_probabilities[0] / math.log(2), rel=1e-4)  # it remembers


def test_ranks_and_alternatives(client):
    answer = client.value("/api/surprise", text="我 昨天 dog 。\n", k=20)
    for each in answer["tokens"]:
        alternatives = {one["token"]: one["probability"] for one in each["alternatives"]}
        assert each["bits"] == pytest.approx(-math.log2(each["probability"]), rel=1e-4)
        if not each["unknown"]:
            assert alternatives[each["token"]] == each["probability"]
            above = sum(probability > each["probability"] for probability in alternatives.values())
            assert above <= each["rank"] - 1 <= above + 2  # <s> and <unk> are ranked, but no alternatives
    assert [each["token"] for each in answer["tokens"] if each["unknown"]] == ["dog"]
    assert answer["tokens"][-1]["token"] == "</s>"


def test_nothing_has_no_perplexity(client):
    answer = client.value("/api/surprise", text="")
    assert answer == {"tokens": [], "perplexity": None, "bits_per_char": None, "nats_per_token": None}


# --- rank and fill ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CAUSAL)
def test_ranking_is_by_score(client, models, name):
    candidates = ["我 昨天 上学", "the cat", "", "了 了 了 dog"]
    ranked = client.value("/api/rank", model=name, candidates=candidates)["candidates"]
    expected = {each.text: each for each in models[name].score(candidates)}
    assert sorted(each["text"] for each in ranked) == sorted(candidates)
    for each in ranked:
        assert each["logprob_nats"] == expected[each["text"]].logprob_nats
        assert each["tokens"] == len(expected[each["text"]].tokens)
        assert each["oov"] == expected[each["text"]].oov
    nats = [each["logprob_nats"] for each in ranked]
    assert nats == sorted(nats, reverse=True)
    assert sum(each["share"] for each in ranked) == pytest.approx(1)
    assert ranked[1]["share"] / ranked[0]["share"] == pytest.approx(math.exp(nats[1] - nats[0]))


@pytest.mark.parametrize("name", [*CAUSAL, "both"])
def test_filling_is_the_models_own(client, models, both, name):
    text = "我 昨天 ____ 迟到 了" if name != "characters" else "the t____n"
    answer = client.value("/api/fill", model=name, text=text, k=4)
    expected = (both if name == "both" else models[name]).fill(text, 4)
    assert answer["text"] == text
    assert [each["text"] for each in answer["candidates"]] == [each.text for each in expected]
    assert [each["tokens"] for each in answer["candidates"]] == [each.tokens for each in expected]
    assert [each["probability"] for each in answer["candidates"]] == pytest.approx([e.probability for e in expected])


# --- neurons ------------------------------------------------------------------------------------------------------


def test_correlation_is_pearsons():
    rng = np.random.default_rng(3)
    hidden, values = rng.normal(size=(40, 5)), rng.normal(size=40)
    hidden[:, 4] = 2
    expected = [np.corrcoef(hidden[:, unit], values)[0, 1] for unit in range(4)]
    assert correlation(hidden, values)[:4] == pytest.approx(expected)
    assert correlation(hidden, values)[4] == 0


def test_properties_of_a_text():
    text = 'He said: "go (now)" to 12\nmen.\n'
    found = properties([Piece(each, each, 3) for each in text])

    def where(name: str) -> str:
        return "".join(each for each, value in zip(text, found[name], strict=True) if value)

    assert where("inside_quotes") == '"go (now)"'
    assert where("inside_brackets") == "(now)"
    assert where("after_space") == 's"(t1'
    assert found["line_position"][text.index("\n") + 1] == 1
    assert "capital" not in found  # one H varies too little to say anything


@pytest.mark.parametrize("name", ["words", "characters", "both"])
def test_neurons_are_ranked(client, name):
    text = "我 昨天 上学 ， 老师 批评 了 。\nthe cat in Paris\n" if name != "characters" else 'The "tin hat" is on.\n'
    answer = client.value("/api/neurons", model=name, text=text * 4)
    assert (answer["layers"], answer["units"]) == (2, 24 if name == "both" else 12)
    strengths = [abs(each["correlation"]) for each in answer["found"]]
    assert strengths
    assert max(strengths) <= 1
    assert strengths == sorted(strengths, reverse=True)
    for each in answer["found"]:
        assert 0 <= each["layer"] < 2
        assert 0 <= each["unit"] < answer["units"]


@pytest.mark.parametrize("name", ["words", "characters"])
def test_an_activation_is_the_units_output_after_each_token(client, models, name):
    model, text = models[name], "我 昨天 上学 。" if name == "words" else "the tin hat"
    ids, state = model.encode(text), model.causal.zero_state(1)
    _, state = model.causal.next_log_probabilities(np.array([[model.start]]), state)
    expected = []
    for each in ids:
        _, state = model.causal.next_log_probabilities(np.array([[each]]), state)
        expected.append(float(state[0, 1, 0, 7]))
    answer = client.value("/api/activation", model=name, text=text, layer=1, unit=7)
    assert [each["activation"] for each in answer["tokens"]] == pytest.approx(expected, abs=1e-5)
    assert "".join(each["text"] for each in answer["tokens"]) == text


def test_an_ngram_model_has_no_neurons(client):
    for path, more in [("/api/neurons", {}), ("/api/activation", {"layer": 0, "unit": 0})]:
        answer = client.post(path, model="ngram", text="我", **more)
        assert answer.status == 400
        assert "n-gram model" in answer.message


# --- tokens -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "text"), PAIRS)
def test_ids_are_those_of_the_model(client, models, name, text):
    ids = client.value("/tokenize", model=name, prompt=text, add_special_tokens=False)["tokens"]
    model, line = models[name], text.rpartition("\n")[2] if models[name].reads_lines else text
    expected = model.vocabulary.encode(model.tokens(line)).tolist()
    assert ids[len(ids) - len(expected) :] == expected
    assert ids == [piece.token_id for piece in ServedModel(name, models[name]).pieces(text)]


def test_ids_become_text_again(client):
    ids = client.value("/tokenize", model="characters", prompt="the tin hat\n")["tokens"]
    assert client.value("/detokenize", model="characters", tokens=ids) == {"prompt": "the tin hat\n"}
    assert client.value("/detokenize", tokens=[]) == {"prompt": ""}


# --- models of both directions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/predict", {"text": "我"}),
        ("/api/surprise", {"text": "我"}),
        ("/api/rank", {"candidates": ["我"]}),
        ("/v1/completions", {"prompt": "我"}),
        ("/v1/completions", {"prompt": "我", "stream": True}),
        ("/v1/completions", {"prompt": "我", "max_tokens": 0}),
    ],
)
def test_a_bidirectional_model_says_that_it_has_no_next_word(serve, both, path, body):
    answer = serve({"both": both}).post(path, **body)
    assert answer.status == 400
    assert "This model is bidirectional" in answer.message
