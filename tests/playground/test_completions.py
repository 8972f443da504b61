"""/v1/completions follows OpenAI's conventions, as evaluation harnesses expect."""

import math

import numpy as np
import pytest

from rnnlm.inference.generation import SamplingOptions
from rnnlm.text.vocabulary import BOS

PATH = "/v1/completions"
PROMPTS = {"words": "我 昨天 上学", "characters": "the tin", "ngram": "我 昨天"}


@pytest.fixture(scope="module")
def models(words, characters, ngram):
    return {"words": words, "characters": characters, "ngram": ngram}


def only(answer) -> dict:
    (choice,) = answer["choices"]
    return choice


# --- texts --------------------------------------------------------------------------------------------------------


def test_an_answer_has_openais_fields(client):
    answer = client.value(PATH, prompt="我 昨天", max_tokens=3)
    assert answer["object"] == "text_completion"
    assert answer["id"].startswith("cmpl-")
    assert answer["model"] == "words"
    choice = only(answer)
    assert (choice["index"], choice["logprobs"]) == (0, None)
    assert choice["finish_reason"] in ("length", "stop")
    usage = answer["usage"]
    assert usage["prompt_tokens"] == 2
    assert 1 <= usage["completion_tokens"] <= 3
    assert usage["total_tokens"] == 2 + usage["completion_tokens"]


@pytest.mark.parametrize("name", PROMPTS)
def test_a_completion_agrees_with_sampling_from_the_model(client, models, name):
    model, prompt = models[name], PROMPTS[name]
    options = SamplingOptions(12, temperature=0.8, top_k=6, top_p=0.9, repetition_penalty=1.2)
    drawn = [ids[0] for ids in model.sample(prompt, options, np.random.default_rng(7))]
    asked = {"max_tokens": 12, "temperature": 0.8, "top_k": 6, "top_p": 0.9, "repetition_penalty": 1.2, "seed": 7}
    choice = only(client.value(PATH, model=name, prompt=prompt, logprobs=0, **asked))
    shown = [model.vocabulary.token(each) for each in drawn if each is not None]
    assert [token.strip(" ") or " " for token in choice["logprobs"]["tokens"]] == shown
    assert choice["finish_reason"] == ("stop" if model.end in drawn else "length")


@pytest.mark.parametrize(
    ("prompt", "separated"),
    [
        ("我 昨天", True),
        ("我昨天", False),
        ("我 昨天 上学 。\n老师 批评", True),
        ("我昨天上学。\n老师 批评", True),
        ("我 昨天 上学 。\n老师批评", False),
        ("我 昨天 上学 。\n", True),
    ],
)
def test_a_completion_is_spaced_like_its_prompt(client, words, prompt, separated):
    asked = {"prompt": prompt, "max_tokens": 20, "seed": 5, "echo": True}
    text = only(client.value(PATH, **asked))["text"]
    line = text[len(prompt.rpartition("\n")[0]) :]
    assert text.startswith(prompt)
    assert len(text) > len(prompt) + 4
    tokens = words.tokens(line)
    if separated:
        assert line.split() == tokens
    else:
        assert line.strip() == words.tokenizer.join(tokens)


def test_a_prompt_that_ends_with_a_space_gets_no_second_space(client):
    text = only(client.value(PATH, prompt="我 昨天 ", max_tokens=8, seed=5, echo=True))["text"]
    assert "  " not in text


def test_a_seed_repeats_a_completion(client):
    texts = [only(client.value(PATH, prompt="我", max_tokens=20, seed=seed))["text"] for seed in [1, 1, 2, -1, -1]]
    assert texts[0] == texts[1] != texts[2]
    assert texts[3] == texts[4]


def test_several_completions_of_several_prompts_are_numbered(client):
    prompts = ["我 昨天", "the cat", ""]
    answer = client.value(PATH, prompt=prompts, n=4, max_tokens=6, seed=1, echo=True)
    assert [choice["index"] for choice in answer["choices"]] == list(range(12))
    for choice in answer["choices"]:
        assert choice["text"].startswith(prompts[choice["index"] // 4])
    alone = client.value(PATH, prompt="the cat", n=4, max_tokens=6, seed=1, echo=True)
    assert {choice["text"] for choice in alone["choices"]} <= {choice["text"] for choice in answer["choices"]}
    assert answer["usage"]["prompt_tokens"] == 4


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_text_ends_a_completion_and_is_not_part_of_it(client, stream):
    asked = {"model": "characters", "prompt": "the tin", "max_tokens": 60, "seed": 3, "logprobs": 1}
    whole = only(client.value(PATH, **asked))["text"]
    stop = whole[20:23]
    cut = whole[: whole.index(stop)]
    if stream:
        events = client.post(PATH, **asked, stop=["never there", stop], stream=True).events
        text = "".join(only(event)["text"] for event in events)
        offsets = [place for event in events for place in only(event)["logprobs"]["text_offset"]]
        reason = only(events[-1])["finish_reason"]
    else:
        choice = only(client.value(PATH, **asked, stop=["never there", stop]))
        text, offsets, reason = choice["text"], choice["logprobs"]["text_offset"], choice["finish_reason"]
    assert (text, reason) == (cut, "stop")
    assert offsets == list(range(len("the tin"), len("the tin") + len(cut)))


@pytest.mark.parametrize("name", PROMPTS)
@pytest.mark.parametrize("more", [{}, {"logprobs": 2}, {"echo": True, "logprobs": 3}, {"n": 3}, {"max_tokens": 0}])
def test_a_joined_stream_equals_the_answer(client, name, more):
    asked = {"model": name, "prompt": PROMPTS[name], "max_tokens": 15, "seed": 11} | more
    answer = client.value(PATH, **asked)
    told = client.post(PATH, **asked, stream=True, stream_options={"include_usage": True})
    assert told.headers["content-type"] == "text/event-stream; charset=utf-8"
    *events, last = told.events
    assert (last["choices"], last["usage"]) == ([], answer["usage"])
    assert len({event["id"] for event in told.events}) == 1
    for choice in answer["choices"]:
        parts = [only(event) for event in events if only(event)["index"] == choice["index"]]
        assert "".join(part["text"] for part in parts) == choice["text"]
        assert [part["finish_reason"] for part in parts] == [None] * (len(parts) - 1) + [choice["finish_reason"]]
        for key in choice["logprobs"] or {}:
            assert [each for part in parts for each in part["logprobs"][key]] == choice["logprobs"][key]


# --- fields -------------------------------------------------------------------------------------------------------

UNSAID = {  # fields of OpenAI's schema with values that do not change the answer
    "user": "me", "metadata": {"run": "7"}, "store": False, "service_tier": "auto", "safety_identifier": "x",
    "prompt_cache_key": "y", "best_of": 1, "suffix": None, "logit_bias": {}, "presence_penalty": 0,
    "frequency_penalty": 0.0, "stream_options": {"include_usage": True, "include_obfuscation": False}, "stop": None,
}  # fmt: skip


def test_fields_that_do_not_change_the_answer_are_accepted(client):
    asked = {"prompt": "我", "seed": 1}
    plain, said = (client.value(PATH, **asked, **more) for more in [{}, UNSAID])
    assert said["choices"] == plain["choices"]


@pytest.mark.parametrize(
    "more",
    [
        {"suffix": "end"}, {"presence_penalty": 0.5}, {"frequency_penalty": -1}, {"logit_bias": {"5": 100}},
        {"best_of": 3},
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_unsupported_fields_that_would_change_the_answer_are_refused(client, more, stream):
    answer = client.post(PATH, prompt="我", stream=stream, **more)
    (name,) = more
    assert answer.status == 400
    assert answer.value["error"]["param"] == name
    assert answer.message.startswith(f"{name} is ")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PATH, {"prompt": "我"}),
        (PATH, {"prompt": "我", "stream": True}),
        ("/tokenize", {"prompt": "我"}),
        ("/detokenize", {"tokens": [3]}),
        ("/api/predict", {"text": "我"}),
        ("/api/surprise", {"text": "我"}),
        ("/api/rank", {"candidates": ["我"]}),
        ("/api/fill", {"text": "我 ____"}),
        ("/api/neurons", {"text": "我"}),
        ("/api/activation", {"text": "我", "layer": 0, "unit": 0}),
    ],
)
def test_unknown_fields_are_refused_by_name(client, path, body):
    assert client.post(path, **body).status == 200
    answer = client.post(path, **body, max_token=5, **{"min_p": 0.1, "x" * 500: 1})
    assert answer.status == 400
    assert "'max_token', nor 'min_p', nor 'xxx" in answer.message
    assert len(answer.message) < 600
    error = answer.value["error"]
    assert (error["type"], error["code"], error["param"]) == (
        "invalid_request_error", "unknown_parameter", "max_token",
    )  # fmt: skip
    many = client.post(path, **body, **{f"f{number}": 1 for number in range(50)})
    assert "'f4' and 45 more" in many.message


def test_unknown_stream_options_are_refused_by_name(client):
    answer = client.post(PATH, prompt="我", stream=True, stream_options={"usage": True})
    assert (answer.status, answer.value["error"]["param"]) == (400, "usage")


def test_the_openapi_document_forbids_other_fields(client):
    document = client.ask("GET", "/openapi.json").value
    bodies = [each["post"]["requestBody"] for each in document["paths"].values() if "post" in each]
    schemas = [each["content"]["application/json"]["schema"] for each in bodies]
    assert len(schemas) == 10
    assert {each["additionalProperties"] for each in schemas} == {False}
    assert document["paths"][PATH]["post"]["requestBody"]["content"]["application/json"]["schema"][
        "properties"
    ].keys() >= (UNSAID.keys())


# --- log probabilities --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROMPTS)
def test_logprobs_of_a_prompt_agree_with_its_surprise(client, models, name):
    text = "我 昨天 dog ，\n老师 批评 了" if name != "characters" else "the tin hat?\nis on"
    choice = only(client.value(PATH, model=name, prompt=text, max_tokens=0, echo=True, logprobs=1))
    assert choice["text"] == text
    told = choice["logprobs"]
    assert "".join(told["tokens"]) == text
    assert told["text_offset"] == [len("".join(told["tokens"][:n])) for n in range(len(told["tokens"]))]
    assert told["token_logprobs"][0] is told["top_logprobs"][0] is None
    bits = [each["bits"] for each in client.value("/api/surprise", model=name, text=text)["tokens"]]
    assert [-each / math.log(2) for each in told["token_logprobs"][1:]] == pytest.approx(bits[1:-1], rel=1e-5)


def test_a_prompt_of_ids_is_equivalent_to_its_text(client):
    text = "我 昨天 上学 迟到 了 。"
    ids = client.value("/tokenize", prompt=text)["tokens"]
    asked = {"max_tokens": 0, "echo": True, "logprobs": 0}
    of_text, of_ids = (only(client.value(PATH, prompt=prompt, **asked))["logprobs"] for prompt in [text, ids])
    assert of_ids["token_logprobs"] == of_text["token_logprobs"]
    after_start = only(client.value(PATH, prompt=[[BOS, *ids]], **asked))["logprobs"]
    assert after_start["tokens"][0] == "<s>"
    assert after_start["token_logprobs"][2:] == of_text["token_logprobs"][1:]
    first = client.value("/api/surprise", text=text)["tokens"][0]
    assert after_start["token_logprobs"][1] == pytest.approx(math.log(first["probability"]), rel=1e-5)


@pytest.mark.parametrize("name", PROMPTS)
def test_logprobs_tell_whether_a_token_was_the_most_probable(client, models, name):
    """As in lm-evaluation-harness, compare the token's own logprob with the largest in top_logprobs."""
    model = models[name]
    ids = client.value("/tokenize", model=name, prompt=PROMPTS[name] * 3, add_special_tokens=False)["tokens"]
    asked = {"temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": True}
    told = only(client.value(PATH, model=name, prompt=[[BOS, *ids]], **asked))["logprobs"]
    assert len(told["token_logprobs"]) == len(ids) + 2
    inputs = np.array([model.start, *ids])[:, None]
    rows = model.require_causal().log_probabilities(inputs, model.require_causal().zero_state(1))[0][:, 0]
    for row, token_id, own, top in zip(rows, ids, told["token_logprobs"][1:], told["top_logprobs"][1:], strict=False):
        assert own == pytest.approx(float(row[token_id]), rel=1e-4)
        assert max(top.values()) == pytest.approx(float(row.max()), rel=1e-4)
        assert (own == max(top.values())) == (token_id == row.argmax())
    assert told["token_logprobs"][-1] == max(told["top_logprobs"][-1].values())


def test_tokenizer_info_has_the_special_tokens(client):
    info = client.ask("GET", "/tokenizer_info").value
    assert (info["bos_token"], info["eos_token"], info["pad_token"]) == ("<s>", "</s>", None)
    assert client.value("/tokenize", prompt=info["bos_token"])["tokens"] == [BOS]


def test_logprobs_have_the_requested_number_of_alternatives(client):
    told = only(client.value(PATH, prompt="我", max_tokens=5, logprobs=4, seed=2, temperature=3))["logprobs"]
    for token, own, top in zip(told["tokens"], told["token_logprobs"], told["top_logprobs"], strict=True):
        assert len(top) in (4, 5)  # 5 if the token itself is not among the 4
        assert top[token] == own
        assert list(top.values())[:4] == sorted(top.values(), reverse=True)[:4]


def test_logprobs_do_not_depend_on_sampling_options(client):
    plain, shaped = (
        only(client.value(PATH, prompt="我", max_tokens=1, logprobs=5, seed=1, **more))["logprobs"]["top_logprobs"][0]
        for more in [{}, {"temperature": 0.1, "top_k": 2, "repetition_penalty": 3}]
    )
    shared = plain.keys() & shaped.keys()
    assert len(shared) >= 5
    assert all(plain[token] == shaped[token] for token in shared)
