"""The API of the page gives the answers of the model and of the command line."""

import base64
import json
import math
import re

import numpy as np
import pytest

from rnnlm.baselines.ngram import NgramModel
from rnnlm.cli import run
from rnnlm.inference.model import read_prefix
from rnnlm.language_model import LanguageModel
from rnnlm.network_with_ngram import NetworkWithNgram
from rnnlm.playground.neurons import activations, correlation, properties
from rnnlm.playground.served import ServedModel
from rnnlm.results import Piece
from rnnlm.text.vocabulary import BOS, EOS, UNK

CAUSAL = ["words", "characters", "ngram"]
ALL = [*CAUSAL, "stream of words", "lines of characters"]
TEXTS = {
    "words": ["", "我", "我 昨天", "我昨天上学", "我 昨天 上学 迟到 了 。\n\n老师", "the cat in Paris ", "the cat,"],
    "characters": ["", "the\ntin ", '"Tis not', "a question of quizzes"],
    "ngram": ["", "我 昨天 上学", "我昨天\n"],
}
PAIRS = [(name, text) for name, texts in TEXTS.items() for text in texts]


@pytest.fixture(scope="module")
def models(words, characters, ngram):
    """Models for all ways to read a text."""
    return {
        "words": words,
        "characters": characters,
        "ngram": ngram,
        "stream of words": LanguageModel(words.tokenizer, words.vocabulary, words.predictor, "stream"),
        "lines of characters": LanguageModel(
            characters.tokenizer, characters.vocabulary, characters.predictor, "sentence"
        ),
    }


@pytest.fixture(scope="module")
def everyone(serve, models):
    """A client of all of these models."""
    return serve(models)


def command(capsys, *arguments: str) -> list:
    """Run a command and return the JSON values that it prints."""
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
    row = read_prefix(model.require_causal(), np.array([model.start]))[0][0].astype(np.float64)
    candidates = client.value("/api/predict", model=name, text="", k=100)["candidates"]
    total = sum(each["probability"] for each in candidates)
    left_out = np.exp(row[UNK]) + np.exp(row[BOS])
    assert total + left_out == pytest.approx(1, abs=1e-5)
    assert [each["probability"] for each in candidates] == sorted((e["probability"] for e in candidates), reverse=True)


@pytest.mark.parametrize(("name", "text"), PAIRS)
def test_predictions_agree_with_the_model(client, models, name, text):
    expected = models[name].predict(text, k=5).candidates
    answer = client.value("/api/predict", model=name, text=text, k=5)
    assert answer["context"] == text
    assert [each["token"] for each in answer["candidates"]] == [each.token for each in expected]
    assert [each["probability"] for each in answer["candidates"]] == pytest.approx(
        [each.probability for each in expected], rel=1e-4
    )


@pytest.mark.parametrize(("name", "text"), PAIRS)
def test_an_appended_candidate_is_read_as_its_token(client, models, name, text):
    model = models[name]
    line = text.rpartition("\n")[2]
    for each in client.value("/api/predict", model=name, text=text, k=100)["candidates"]:
        if each["token"] == "</s>":
            assert each["text"] == "\n"
        else:
            assert model.tokens(line + each["text"]) == [*model.tokens(line), each["token"]]


LINES = {True: ["我 昨天", "老师 批评", "", "dog 我"], False: ["the tin", "hat", "", "is\ton"]}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("end", ["", "\n"])
def test_several_lines_are_read_alike_by_page_library_and_command_line(everyone, models, name, end, tmp_path, capsys):
    """Sentences are read one by one, streams as a whole, and blank lines are skipped."""
    model, path = models[name], tmp_path / "model.npz"
    lines = LINES[model.level == "word"]
    text = "\n".join(lines) + end
    context = [model.start]
    for line in lines:
        if line or not model.reads_lines:
            ids = model.vocabulary.encode(model.tokens(line)).tolist()
            context += [*ids, EOS if model.reads_lines else int(model.vocabulary.encode("\n")[0])]
    if not end:
        context.pop()
    if model.context == "sentence":
        context = [model.start] if end else [model.start, *ids]
    row = read_prefix(model.require_causal(), np.array(context))[0][0]
    expected = [model.vocabulary.token(each) for each in model.best(row, 5)]
    answer = everyone.value("/api/predict", model=name, text=text, k=5)
    assert [each["token"] for each in answer["candidates"]] == expected
    assert [each.token for each in model.predict(text, 5).candidates] == expected
    assert [each.token for each in model.predict_each(text, 5)[-1].candidates] == expected
    model.save(path)
    (printed,) = command(capsys, "predict", text, "-m", path, "-k", 5, "--json")
    assert [each["token"] for each in printed["candidates"]] == expected
    named = [] if model.context == "sentence" and end else [each for each in ("dog", "\t") if each in text]
    assert answer["unknown"] == named
    assert run(["predict", text, "-m", str(path)]) == 0
    assert ("not in the vocabulary" in capsys.readouterr().err) == bool(named)


@pytest.mark.parametrize("name", ALL)
def test_predict_each_agrees_with_the_prediction_after_each_token(models, name):
    model = models[name]
    text = "\n".join(LINES[model.level == "word"])
    found = model.predict_each(text, 3)
    pieces = list(model.cut(text))
    for place, (token, candidates) in enumerate(found):
        before = "".join(piece.text for piece in pieces[:place])
        if place and pieces[place - 1].token_id == EOS:
            assert token == ("<s>" if model.context == "sentence" else "</s>")
        else:
            assert token == (pieces[place - 1].token if place else "<s>")
        expected = model.predict(before, 3).candidates
        assert [each.token for each in candidates] == [each.token for each in expected]
        assert [each.probability for each in candidates] == pytest.approx([e.probability for e in expected], rel=1e-4)


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
@pytest.mark.parametrize(
    "options", [{"complete": True}, {"complete": True, "k": 3}, {"ahead": 3}, {"ahead": 2, "k": 40}]
)
def test_completions_agree_with_the_library(client, models, name, options):
    for text in {"words": ["我 昨", "the c", "the cat", "", "xyz"], "ngram": ["我 昨", "the c"]}.get(
        name, ["the t", "Th", ""]
    ):
        answer = client.value("/api/predict", model=name, text=text, **options)
        arguments = {"length": options.get("ahead", 1), "k": options.get("k", 10)}
        expected = models[name].predict_ahead(text, complete=options.get("complete", False), **arguments)
        for each, its in zip(answer["candidates"], expected, strict=True):
            assert (each["token"], each["text"], each["typed"]) == (its.tokens[0], its.text, its.typed)
            assert each.get("tokens", [each["token"]]) == (its.tokens if "ahead" in options else its.tokens[:1])
            assert each["probability"] == pytest.approx(its.probability, rel=1e-5)


def test_candidates_can_be_restricted(client, words):
    for options in ({"prefix": "上"}, {"allowed": ["the", "我", "nobody"]}, {"prefix": "t", "allowed": ["the", "我"]}):
        found = client.value("/api/predict", model="words", text="我", **options)["candidates"]
        expected = words.predict("我", **options).candidates
        assert [(each["token"], each["probability"]) for each in found] == [
            (each.token, pytest.approx(each.probability)) for each in expected
        ]
        assert 0 < len(found) < 3


def test_a_half_typed_word_is_not_reported_as_unknown(client):
    def unknown(text):
        return client.value("/api/predict", model="words", text=text, complete=True)["unknown"]

    assert unknown("我 dog 昨") == ["dog"]
    assert unknown("我 dog") == ["dog"]
    assert unknown("我 昨 ") == ["昨"]


def test_incompatible_options_are_refused(client):
    refused = client.post("/api/predict", text="我", prefix="上", complete=True)
    assert (refused.status, refused.value["error"]["code"]) == (400, "refused")
    assert client.post("/api/predict", text="我", ahead=9).status == 400
    assert client.post("/api/predict", model="characters", text="th", ahead=2, complete=True).status == 400


@pytest.mark.parametrize("name", CAUSAL)
def test_typing_key_by_key_gives_the_same_bits(client, serve, models, name):
    text = "我 昨天 上学 迟到 了 。" * 4 if name != "characters" else "the tin hat is on the stone " * 3
    typed = [client.value("/api/predict", model=name, text=text[:length]) for length in range(len(text) + 1)]
    for length in range(0, len(text) + 1, 17):
        fresh = serve({name: models[name]})
        assert fresh.value("/api/predict", text=text[:length]) == typed[length]


# --- surprise -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "text"), PAIRS)
def test_joined_tokens_are_the_text(client, name, text):
    tokens = client.value("/api/surprise", model=name, text=text)["tokens"]
    assert "".join(each["text"] for each in tokens) == text


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("lines", [1, 2, 3])
@pytest.mark.parametrize("end", ["", "\n"])
def test_surprise_agrees_with_score_eval_and_plot(everyone, models, name, lines, end, tmp_path, capsys):
    words = ["我 昨天 dog 批评 了", "the cat", "我 昨天 上学 迟到 了 。"]
    model, path, file = models[name], tmp_path / "model.npz", tmp_path / "text.txt"
    text = "\n".join((words if model.level == "word" else ["the tin z", "hat!", "is on"])[:lines]) + end
    model.save(path)
    file.write_text(text if end else f"{text}\n", encoding="utf-8")
    answer = everyone.value("/api/surprise", model=name, text=text)
    bits = [each["bits"] for each in answer["tokens"]]
    for given in [file, text]:
        (plotted,) = command(capsys, "plot", "--surprise", given, "-m", path, "--json")
        assert [each["token"] for each in plotted["tokens"]] == [each["token"] for each in answer["tokens"]]
        assert [each["surprise_bits"] for each in plotted["tokens"]] == pytest.approx(bits, rel=1e-4)
    if model.context == "sentence" or lines == 1:
        scored = command(capsys, "score", file, "-m", path, "--json", "--tokens")
        tokens = [token for line in scored for token in line["tokens"]]
        assert [token["token"] for token in tokens] == [each["token"] for each in answer["tokens"]]
        assert [token["rank"] for token in tokens] == [each["rank"] for each in answer["tokens"]]
        assert [-token["logprob_nats"] / math.log(2) for token in tokens] == pytest.approx(bits, rel=1e-4)
        assert sum(line["oov"] for line in scored) == answer["oov"]
        assert run(["score", str(file), "-m", str(path)]) == 0
        said = capsys.readouterr().err
        assert f"{len(tokens)} tokens" in said
        ppl = re.search(r"^ppl +([\d.]+)", said, re.MULTILINE)
        assert float(ppl[1]) == pytest.approx(answer["perplexity"], rel=1e-4)
    if model.context == "sentence":  # eval reads a stream from its start, not after a line
        (figures,) = command(capsys, "eval", file, "-m", path, "--json")
        keys = ["perplexity", "perplexity_excluding_oov", "nats_per_token", "bits_per_char", "logprob_nats"]
        assert [answer[key] for key in keys] == pytest.approx([figures[key] for key in keys], rel=1e-4)
        assert (len(bits), answer["oov"]) == (figures["tokens"], figures["oov"])


@pytest.mark.parametrize("name", ALL)
def test_blank_lines_are_skipped_where_lines_are_read(everyone, models, name):
    if models[name].reads_lines:
        text, more = (
            ("我 昨天\nthe cat", "\n\n我 昨天\n \nthe cat\n\n") if "words" in name else ("a\nb", "\na\n\nb\n\n")
        )
        plain, spaced = (everyone.value("/api/surprise", model=name, text=each) for each in [text, more])
        assert [each["bits"] for each in spaced["tokens"]] == [each["bits"] for each in plain["tokens"]]
        assert spaced["bits_per_char"] == plain["bits_per_char"]


def test_the_first_line_of_a_stream_has_the_surprise_of_any_line(client, models):
    (scored,) = models["characters"].score(["the tin"])
    tokens = client.value("/api/surprise", model="characters", text="the tin\nhat!\n")["tokens"]
    bits = (-scored.log_probabilities / math.log(2)).tolist()
    assert [each["bits"] for each in tokens[: len(bits)]] == pytest.approx(bits, rel=1e-4)
    (alone,) = models["characters"].score(["hat!"])
    assert tokens[-5]["bits"] != pytest.approx(-alone.log_probabilities[0] / math.log(2), rel=1e-4)  # state is kept


def test_ranks_agree_with_the_alternatives(client):
    answer = client.value("/api/surprise", text="我 昨天 dog 。\n", k=20)
    for each in answer["tokens"]:
        alternatives = {one["token"]: one["probability"] for one in each["alternatives"]}
        assert each["bits"] == pytest.approx(-math.log2(each["probability"]), rel=1e-4)
        if not each["unknown"]:
            assert alternatives[each["token"]] == each["probability"]
            above = sum(probability > each["probability"] for probability in alternatives.values())
            assert above <= each["rank"] - 1 <= above + 2  # <s> and <unk> are ranked, but are not alternatives
    assert [each["token"] for each in answer["tokens"] if each["unknown"]] == ["dog"]
    assert answer["tokens"][-1]["token"] == "</s>"


def test_an_empty_text_has_no_perplexity(client):
    answer = client.value("/api/surprise", text="")
    assert (answer["tokens"], answer["oov"]) == ([], 0)
    assert {answer[key] for key in ["perplexity", "perplexity_excluding_oov", "bits_per_char", "nats_per_token"]} == {
        None
    }


# --- rank and fill ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("length", [4, 40])
def test_ranking_agrees_with_rescore(client, models, name, length, tmp_path, capsys):
    """Order and totals are the same; 40 lines are scored in several steps."""
    words = ["我", "昨天", "dog", "the", "cat", "bird", "上学"] if name != "characters" else list("etaoXYZ")
    rng = np.random.default_rng(length)
    lines = [" ".join(rng.choice(words, size=1 + 8 * number)) for number in range(length)]
    marked = [f"<s> {lines[1]} </s>", f"{lines[2]} <unk>", f"  {lines[3]}  "]
    candidates = [*lines, lines[0], *marked]  # equal totals keep their order
    path, file = tmp_path / "model.npz", tmp_path / "list.txt"
    models[name].save(path)
    file.write_text("".join(f"{line}\n" for line in candidates), encoding="utf-8")
    (expected,) = command(capsys, "rescore", file, "-m", path, "--json")
    ranked = client.value("/api/rank", model=name, candidates=candidates)["candidates"]
    assert [each["text"].strip() for each in ranked] == [each["text"] for each in expected["candidates"]]
    assert sorted(each["text"] for each in ranked) == sorted(candidates)
    for key in ["logprob_nats", "total_nats"]:
        assert [each[key] for each in ranked] == pytest.approx([each[key] for each in expected["candidates"]], rel=1e-5)
    stripped = [each.strip() for each in candidates]
    scored = dict(zip(candidates, models[name].score(stripped, hypotheses=True), strict=True))
    for each in ranked:
        assert (each["tokens"], each["oov"]) == (len(scored[each["text"]].tokens), scored[each["text"]].oov)
    assert sum(each["share"] for each in ranked) == pytest.approx(1)
    first, second = ranked[:2]
    assert second["share"] / first["share"] == pytest.approx(math.exp(second["total_nats"] - first["total_nats"]))


def test_an_unknown_word_gets_the_penalty_of_rescore(serve, words):
    rare = LanguageModel(words.tokenizer, words.vocabulary, words.predictor, "sentence")
    assert rare.unknown_word_penalty < -2
    ranked = serve({"words": rare}).value("/api/rank", candidates=["我 dog bird", "", "我"])["candidates"]
    assert [each["total_nats"] - each["logprob_nats"] for each in ranked] == pytest.approx(
        [each["oov"] * rare.unknown_word_penalty for each in ranked]
    )
    (empty,) = [each for each in ranked if not each["text"]]
    (scored,) = rare.score([""])
    assert empty["total_nats"] == pytest.approx(scored.logprob_nats)


@pytest.mark.parametrize("name", [*CAUSAL, "both"])
def test_fillings_agree_with_the_model(client, models, both, name):
    text = "我 昨天 ____ 迟到 了" if name != "characters" else "the t____n"
    answer = client.value("/api/fill", model=name, text=text, k=4)
    expected = (both if name == "both" else models[name]).fill(text, 4)
    assert answer["text"] == text
    assert [each["text"] for each in answer["candidates"]] == [each.text for each in expected]
    assert [each["tokens"] for each in answer["candidates"]] == [each.tokens for each in expected]
    assert [each["probability"] for each in answer["candidates"]] == pytest.approx([e.probability for e in expected])


def test_a_blank_takes_several_tokens_unless_there_are_many_blanks(client, models):
    answer = client.value("/api/fill", model="words", text="我 ____ 了", k=9, blank_tokens=3)
    expected = models["words"].fill("我 ____ 了", 9, blank_tokens=3)
    assert [each["text"] for each in answer["candidates"]] == [each.text for each in expected]
    many = client.value("/api/fill", model="words", text="____ 我 ____ ，" * 4, k=3, blank_tokens=8)
    plain = client.value("/api/fill", model="words", text="____ 我 ____ ，" * 4, k=3)
    assert many == plain  # there are too many combinations, 2 to the 8, of lengths
    assert client.post("/api/fill", model="words", text="我 ____", blank_tokens=9).status == 400


# --- neurons ------------------------------------------------------------------------------------------------------


def test_correlation_is_pearsons_coefficient():
    rng = np.random.default_rng(3)
    hidden, values = rng.normal(size=(40, 5)), rng.normal(size=40)
    hidden[:, 4] = 2
    expected = [np.corrcoef(hidden[:, unit], values)[0, 1] for unit in range(4)]
    assert correlation(hidden, values)[:4] == pytest.approx(expected)
    assert correlation(hidden, values)[4] == 0


def test_properties_mark_the_right_characters_of_a_text():
    text = 'He said: "go (now)" to 12\nmen.\n'
    found = properties([Piece(each, each, 3) for each in text])

    def where(name: str) -> str:
        return "".join(each for each, value in zip(text, found[name], strict=True) if value)

    assert where("inside_quotes") == '"go (now)"'
    assert where("inside_brackets") == "(now)"
    assert where("after_space") == 's"(t1'
    assert found["line_position"][text.index("\n") + 1] == 1
    assert "capital" not in found  # a single H varies too little


@pytest.mark.parametrize("name", ["words", "characters", "both"])
def test_neurons_are_ranked_by_correlation(client, name):
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
def test_activations_are_the_units_outputs_after_each_token(client, models, name):
    model, text = models[name], "我 昨天 上学 。" if name == "words" else "the tin hat"
    ids, state = model.encode(text), model.require_causal().zero_state(1)
    _, state = model.require_causal().next_log_probabilities(np.array([[model.start]]), state)
    expected = []
    for each in ids:
        _, state = model.require_causal().next_log_probabilities(np.array([[each]]), state)
        expected.append(float(state[0, 1, 0, 7]))
    answer = client.value("/api/activation", model=name, text=text, layer=1, unit=7)
    assert [each["activation"] for each in answer["tokens"]] == pytest.approx(expected, abs=1e-5)
    assert "".join(each["text"] for each in answer["tokens"]) == text
    whole = client.value("/api/activations", model=name, text=text)
    assert (whole["tokens"], whole["of"]) == ([each["text"] for each in answer["tokens"]], len(ids))
    numbers = np.frombuffer(base64.b64decode(whole["activations"]), dtype=np.int8)
    numbers = numbers.reshape(len(ids), whole["layers"], whole["units"])
    assert numbers[:, 1, 7] / 127 == pytest.approx(expected, abs=0.5 / 127 + 1e-6)


def test_for_a_long_text_activations_of_its_beginning_are_sent(client, monkeypatch):
    monkeypatch.setattr("rnnlm.playground.neurons.MOST_NUMBERS", 100)
    answer = client.value("/api/activations", model="words", text="我 昨天 上学 。 " * 5)
    assert len(answer["tokens"]) == 100 // (answer["layers"] * answer["units"])
    assert answer["of"] == 20


@pytest.mark.parametrize("made_of", ["a network and an n-gram", "a network with a cache", "all of them"])
def test_neurons_of_a_mixed_model_are_those_of_its_network(characters, made_of):
    """The LSTM's state has two parts, and the state of a mixture is a single flat row."""
    made, plain = characters, ServedModel("plain", characters)
    if made_of != "a network with a cache":
        of_ngram = NgramModel.train(np.array([3, 4, 5] * 9), len(characters.vocabulary), 2, "stream")
        predictor = NetworkWithNgram(characters.network, of_ngram, [0.1, 0.2])
        made = LanguageModel(characters.tokenizer, characters.vocabulary, predictor, characters.context)
    if made_of != "a network and an n-gram":
        made = made.with_cache(tokens=9)
    served, ids = ServedModel("made", made), characters.encode("the tin hat is on the shelf")
    np.testing.assert_array_equal(done(activations(served, ids)), done(activations(plain, ids)))
    expected = plain.described() | {
        "mixed_ngram": 2 if "n-gram" in made_of or "all" in made_of else None,
        "cache": None if made_of == "a network and an n-gram" else 9,
    }
    assert served.described() == expected


def done(work):
    """Run the work to its end and return the result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def test_an_ngram_model_has_no_neurons(client):
    for path, more in [("/api/neurons", {}), ("/api/activations", {}), ("/api/activation", {"layer": 0, "unit": 0})]:
        answer = client.post(path, model="ngram", text="我", **more)
        assert answer.status == 400
        assert "n-gram model" in answer.message


# --- tokens -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "text"), PAIRS)
def test_tokenize_gives_the_ids_of_the_model(client, models, name, text):
    ids = client.value("/tokenize", model=name, prompt=text, add_special_tokens=False)["tokens"]
    model, line = models[name], text.rpartition("\n")[2] if models[name].reads_lines else text
    expected = model.vocabulary.encode(model.tokens(line)).tolist()
    assert ids[len(ids) - len(expected) :] == expected
    assert ids == model.encode(text).tolist() == [piece.token_id for piece in model.cut(text)]


def test_detokenize_gives_the_text(client):
    ids = client.value("/tokenize", model="characters", prompt="the tin hat\n")["tokens"]
    assert client.value("/detokenize", model="characters", tokens=ids) == {"prompt": "the tin hat\n"}
    assert client.value("/detokenize", tokens=[]) == {"prompt": ""}


# --- bidirectional models -----------------------------------------------------------------------------------------


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
def test_a_bidirectional_model_refuses_requests_that_need_a_next_token(serve, both, path, body):
    answer = serve({"both": both}).post(path, **body)
    assert answer.status == 400
    assert "This model is bidirectional" in answer.message
