"""Requests beyond the limits of the server are refused, and places are freed afterwards."""

import json
import threading

import numpy as np
import pytest

from rnnlm.language_model import LanguageModel
from rnnlm.playground.answers import BLOCK, encoded, encoding
from rnnlm.playground.room import Json, json_pieces
from rnnlm.playground.work import Limits
from rnnlm.text.vocabulary import Vocabulary

LONG = {"model": "characters", "prompt": "th", "max_tokens": 500}


@pytest.fixture(scope="module")
def narrow(serve, words, characters):
    """A server with a single place."""
    return serve({"words": words, "characters": characters}, limits=Limits(places=1, long_places=1))


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, 10 << 20])
def test_the_body_is_limited(client, size):
    body = b'{"text": ""' + b" " * (size - 12) + b"}"
    answer = client.ask("POST", "/api/predict", body)
    assert answer.status == (200 if size <= 1 << 20 else 413)
    if answer.status == 413:
        assert "1,048,576 bytes" in answer.message


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"text": "\xff"}', "not UTF-8: byte 0xff at offset 10"),
        (b'{"text": "", "k": NaN}', "a number that JSON has"),
        (b'{"text": "", "k": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"text": "\\ud800"}', "half a surrogate pair"),
        (b"[]", "expected a JSON object"),
        (b"null", "expected a JSON object"),
        (b"{}", "The field text is missing"),
        (b'{"text": null}', "text is null; expected a text"),
        (b'{"text": 5}', "text is 5; expected a text"),
        (b'{"text": "", "k": 0}', "k is 0; expected a whole number from 1 to 100"),
        (b'{"text": "", "k": 1.5}', "expected a whole number"),
        (b'{"text": "", "k": true}', "k is true; expected a whole number"),
        (b'{"text": "", "K": 1}', "There is no field 'K'"),
        (b'{"text": "", "model": 1}', "model is 1; expected a text"),
    ],
)
def test_bad_requests_are_refused_with_a_sentence(client, body, sentence):
    answer = client.ask("POST", "/api/predict", body)
    assert answer.status == 400
    assert sentence in answer.message
    assert answer.value["error"]["type"] == "invalid_request_error"


def test_an_unknown_model_is_not_found(client):
    answer = client.post("/api/predict", text="", model="../../etc/passwd")
    assert answer.status == 404
    assert "served are words, characters, both, ngram" in answer.message


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_only_json_is_read(client, kind):
    answer = client.ask("POST", "/api/predict", {"text": ""}, {"content-type": kind})
    assert answer.status == 415
    assert "application/json" in answer.message


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/api/predict", {"text": "a" * 20_001}, "text has 20,001 characters; expected a text of at most 20,000"),
        ("/api/surprise", {"text": "a" * 20_001}, "20,000"),
        ("/api/rank", {"candidates": []}, "candidates has 0 values; expected 1 to 200"),
        ("/api/rank", {"candidates": ["a"] * 201}, "expected 1 to 200"),
        ("/api/rank", {"candidates": ["a" * 2001]}, "candidates[0] has 2,001 characters"),
        ("/api/fill", {"text": "no blank"}, "____"),
        ("/api/fill", {"text": "two\nlines ____"}, "one line"),
        ("/api/fill", {"text": "____" + "a" * 1000}, "1,000 characters"),
        ("/v1/completions", {"prompt": "a" * 20_001}, "prompt has 20,001 characters"),
        ("/v1/completions", {"prompt": [3] * 20_001}, "prompt has 20,001 values"),
        ("/v1/completions", {"prompt": ["a"] * 65}, "prompt has 65 values"),
        ("/v1/completions", {"prompt": [999]}, "prompt[0] is 999"),
        ("/v1/completions", {"max_tokens": 4097}, "max_tokens is 4097; expected a whole number from 0 to 4,096"),
        ("/v1/completions", {"max_tokens": -1}, "max_tokens is -1"),
        ("/v1/completions", {"temperature": -1}, "temperature is -1"),
        ("/v1/completions", {"top_p": 0}, "top_p is 0; expected a number above 0 and up to 1"),
        ("/v1/completions", {"n": 17}, "n is 17"),
        ("/v1/completions", {"n": 16, "prompt": ["a"] * 64}, "ask for fewer"),
        ("/v1/completions", {"stop": [""]}, "stop[0] has 0 characters"),
        ("/v1/completions", {"logprobs": 21}, "logprobs is 21"),
        ("/v1/completions", {"suffix": "x"}, "/api/fill fills blanks"),
        ("/v1/completions", {"best_of": 2}, "best_of is 2 and n 1"),
        ("/v1/completions", {"presence_penalty": 1}, "repetition_penalty"),
        ("/detokenize", {"tokens": [999]}, "tokens[0] is 999"),
        ("/api/activation", {"text": "a", "layer": 2, "unit": 0}, "There is no unit 0 in layer 2"),
        ("/api/activation", {"text": "a", "layer": 0, "unit": 12}, "2 layers of 12 units"),
    ],
)
def test_values_beyond_the_limits_are_refused(client, path, body, sentence):
    answer = client.post(path, **body)
    assert answer.status == 400
    assert sentence in answer.message


def test_an_id_outside_the_models_vocabulary_is_refused(client, words, characters):
    assert len(characters.vocabulary) > len(words.vocabulary)
    answer = client.post("/v1/completions", prompt=[len(words.vocabulary)])
    assert answer.status == 400
    assert "ids below 16" in answer.message
    assert client.post("/detokenize", tokens=[len(words.vocabulary)]).status == 400
    assert client.post("/v1/completions", model="characters", prompt=[len(characters.vocabulary) - 1]).status == 200


def test_requests_beyond_the_places_are_told_to_retry(narrow):
    first, *others = narrow.together(*[("/v1/completions", LONG)] * 3, ("/api/predict", {"text": ""}))
    assert first.status == 200
    for answer in others:
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.value["error"]["type"] == "overloaded"
    assert narrow.post("/api/predict", text="").status == 200


def test_a_stream_takes_a_place(narrow):
    first, second = narrow.together(*[("/v1/completions", LONG | {"stream": True})] * 2)
    assert first.events[-1]["choices"][0]["finish_reason"] == "length"
    assert second.status == 503
    assert "busy" in second.message


def test_long_requests_leave_places_for_short_ones(serve, words, characters):
    client = serve({"words": words, "characters": characters}, limits=Limits(places=2, long_places=1))
    answers = client.together(*[("/v1/completions", LONG)] * 2, ("/api/predict", {"text": "我"}))
    assert [answer.status for answer in answers] == [200, 503, 200]


def test_work_that_takes_too_long_is_given_up(serve, characters):
    client = serve({"characters": characters}, limits=Limits(seconds=0, places=1, long_places=1))
    answer = client.post("/v1/completions", **LONG)
    assert answer.status == 503
    assert answer.value["error"]["type"] == "timeout"
    body = client.post("/v1/completions", **LONG, stream=True).body
    assert b'"type":"timeout"' in body
    assert b"[DONE]" not in body


def test_a_client_that_disconnects_frees_its_place(narrow):
    assert narrow.ask("POST", "/v1/completions", LONG, leaves=True).body == b""
    assert narrow.post("/api/predict", text="").status == 200


def test_a_client_that_leaves_a_stream_frees_its_place(narrow):
    whole = narrow.post("/v1/completions", **LONG, stream=True).body
    begun = narrow.ask("POST", "/v1/completions", LONG | {"stream": True}, leaves=True).body
    assert len(begun) < len(whole) / 2
    assert b"[DONE]" not in begun
    assert narrow.post("/api/predict", text="").status == 200


def test_a_body_that_does_not_arrive_times_out(serve, words):
    client = serve({"words": words}, limits=Limits(body_seconds=0.01))
    answer = client.ask("POST", "/api/predict", {"text": ""}, arrives=False)
    assert answer.status == 408
    assert "not complete" in answer.message


def test_an_answer_that_is_not_read_times_out(serve, words):
    """This holds for the start and the rest of an answer, and for a refusal."""
    client = serve({"words": words}, limits=Limits(send_seconds=0.01, places=1, long_places=1))
    for path, body in [
        ("/v1/completions", {"prompt": "我", "stream": True}), ("/v1/completions", {"prompt": "我"}),
        ("/api/predict", {"text": "我"}), ("/api/predict", {"text": 1}), ("/nothing", {}),
    ]:  # fmt: skip
        for number in range(3):
            sent = client.ask("POST", path, body, reads=number)
            assert sent.status == (200 if number else 0) or path == "/nothing" or body.get("text") == 1
        assert client.post("/api/predict", text="").status == 200


# --- the size of an answer ----------------------------------------------------------------------------------------

TOLD = {"echo": True, "logprobs": 5, "max_tokens": 0}
LARGE = [
    ("/v1/completions", {"prompt": [3] * 500, **TOLD}),
    ("/v1/completions", {"prompt": "我 昨天 " * 250, **TOLD}),
    ("/v1/completions", {"prompt": "我 昨天 上学 迟到 " * 100, "echo": True, "n": 16, "max_tokens": 0}),
    ("/v1/completions", {"prompt": "the", "model": "characters", "n": 16, "max_tokens": 1000}),
    ("/v1/completions", {"prompt": "the", "model": "characters", "logprobs": 20, "max_tokens": 50}),
    ("/api/surprise", {"text": "我 昨天 " * 50}),
    ("/detokenize", {"tokens": [3] * 9000}),
    ("/api/activation", {"text": "我 昨天 " * 300, "layer": 0, "unit": 0}),
    ("/api/rank", {"candidates": ["我 昨天 " * 200] * 10}),
]


@pytest.mark.parametrize(("path", "body"), LARGE)
def test_too_large_an_answer_is_refused(client, monkeypatch, path, body):
    assert client.post(path, **body).status == 200
    monkeypatch.setattr("rnnlm.playground.room.MOST_BYTES", 8192)
    answer = client.post(path, **body)
    assert answer.status == 400
    assert "larger than 8,192 bytes" in answer.message
    assert answer.value["error"]["code"] == "answer_too_large"
    assert len(client.post("/api/predict", text="我").body) < 8192
    if path == "/v1/completions":
        body = client.post(path, **body, stream=True).body
        assert b"answer_too_large" in body
        assert b"[DONE]" not in body
        assert len(body) < 250 * 8192  # including the envelope of each piece


def test_a_request_that_must_give_too_large_an_answer_is_refused_before_any_work(client, monkeypatch):
    monkeypatch.setattr(LanguageModel, "distributions", lambda *_: pytest.fail("it was begun"))
    asked = {"prompt": [[5] * 20_000] * 8, "n": 16, "echo": True, "logprobs": 20, "max_tokens": 0}
    for stream in [False, True]:
        answer = client.post("/v1/completions", **asked, stream=stream)
        assert answer.status == 400
        assert answer.value["error"]["code"] == "answer_too_large"


@pytest.mark.parametrize("path", ["/v1/completions", "/api/surprise", "/api/predict", "/detokenize", "/api/fill"])
def test_a_token_of_a_megabyte_cannot_give_a_huge_answer(serve, words, monkeypatch, path):
    monkeypatch.setattr("rnnlm.playground.room.MOST_BYTES", 1 << 20)
    tokens = ["a", "b" * (1 << 20), *(f"c{number}" for number in range(len(words.vocabulary) - 5))]
    model = LanguageModel(words.tokenizer, Vocabulary(tokens, [1] * len(tokens)), words.predictor, "sentence")
    client = serve({"long": model})
    body = {
        "/v1/completions": {"prompt": "a", "max_tokens": 400, "temperature": 50, "n": 16, "seed": 1},
        "/api/surprise": {"text": "a c1 c2", "k": 20},
        "/api/predict": {"text": "a", "k": 100},
        "/detokenize": {"tokens": [4] * 20_000},
        "/api/fill": {"text": "a ____ a", "k": 100},
    }[path]
    answer = client.post(path, **body)
    assert answer.status == 400
    assert answer.value["error"]["code"] == "answer_too_large"


def test_a_stream_sends_a_long_prompt_in_many_pieces(client):
    asked = {"prompt": "the tin hat is on the stone " * 50, "model": "characters", "n": 2, **TOLD}
    whole = client.value("/v1/completions", **asked)["choices"]
    events = client.post("/v1/completions", **asked, stream=True).events
    assert max(len(json.dumps(event)) for event in events) < 40_000
    for choice in whole:
        parts = [each for event in events for each in event["choices"] if each["index"] == choice["index"]]
        assert "".join(part["text"] for part in parts) == choice["text"]
        assert [part["finish_reason"] for part in parts] == [None] * (len(parts) - 1) + ["length"]
        for key in choice["logprobs"]:
            assert [each for part in parts for each in part["logprobs"][key]] == choice["logprobs"][key]


def test_answers_are_encoded_outside_the_event_loop(client, monkeypatch):
    where = []

    def recorded(value):
        where.append(threading.current_thread().name)
        return json_pieces(value)

    monkeypatch.setattr("rnnlm.playground.answers.json_pieces", recorded)
    client.value("/api/surprise", text="我 昨天")
    client.value("/v1/completions", prompt="我", max_tokens=5)
    assert len(where) == 2
    assert all(name.startswith("rnnlm") for name in where)


def any_value(rng, depth=0):
    kind = rng.integers(9 if depth < 4 else 6)
    if kind == 7:
        return [any_value(rng, depth + 1) for _ in range(rng.integers(5))]
    if kind == 8:
        return {f'k{number}"': any_value(rng, depth + 1) for number in range(rng.integers(5))}
    values = [
        None,
        True,
        '我\n\\"',
        int(rng.integers(1 << 40)),
        float(rng.normal()),
        "",
        rng.normal(size=1500).tolist(),
    ]
    return values[kind]


@pytest.mark.parametrize("seed", range(60))
def test_json_encoded_in_pieces_is_valid(seed):
    value = any_value(np.random.default_rng(seed))
    assert json.loads(encoded(value)) == value

    def work():
        yield
        return [Json.of(value)] * 40

    steps = encoding(work())
    while True:
        try:
            next(steps)
        except StopIteration as done:
            blocks = done.value
            break
    assert json.loads(b"".join(blocks)) == [value] * 40
    assert sum(len(block) >= BLOCK for block in blocks) >= len(blocks) - 1


def test_nan_and_infinity_become_null_and_lone_surrogates_are_escaped():
    assert encoded({"a": [float("nan"), float("-inf"), 1.5], "b": float("inf")}) == b'{"a":[null,null,1.5],"b":null}'
    assert encoded(["\ud800"]) == b'["\\ud800"]'
