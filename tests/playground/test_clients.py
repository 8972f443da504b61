"""Third-party programs as clients: the openai package, schemathesis and lm-evaluation-harness."""

import json
import re
import threading

import pytest

from rnnlm.playground.work import Limits


@pytest.fixture(scope="module")
def address(serve, words, characters):
    """Address of a server of two models."""
    pytest.importorskip("uvicorn")
    from rnnlm.playground.server import listen, web_server

    limits = Limits(body_seconds=2)
    server = web_server(serve({"words": words, "characters": characters}, limits=limits).app, limits)
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


# --- the openai client --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def openai(address):
    module = pytest.importorskip("openai")
    with module.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_openai_lists_the_models(openai):
    assert [model.id for model in openai.models.list()] == ["words", "characters"]


def test_openai_completes(openai):
    asked = {"model": "characters", "prompt": "the tin", "max_tokens": 20, "seed": 4, "temperature": 0.7, "top_p": 0.9}
    done = openai.completions.create(**asked, n=3, extra_body={"top_k": 5, "repetition_penalty": 1.1})
    assert [choice.index for choice in done.choices] == [0, 1, 2]
    assert [len(choice.text) for choice in done.choices] == [20] * 3
    assert [choice.finish_reason for choice in done.choices] == ["length"] * 3
    assert done.usage.completion_tokens == 60
    text = done.choices[0].text
    stopped = openai.completions.create(
        **asked, n=3, stop=text[10:12], extra_body={"top_k": 5, "repetition_penalty": 1.1}
    )
    assert stopped.choices[0].text == text[: text.index(text[10:12])]
    assert stopped.choices[0].finish_reason == "stop"


def test_openai_streams(openai):
    asked = {"model": "words", "prompt": "我 昨天", "max_tokens": 30, "seed": 1}
    whole = openai.completions.create(**asked)
    pieces = list(openai.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert len(pieces) > 3
    assert "".join(piece.choices[0].text for piece in pieces[:-1]) == whole.choices[0].text
    assert pieces[-1].usage == whole.usage


def test_openai_reads_logprobs(openai):
    asked = {"model": "words", "prompt": "我 昨天 上学", "max_tokens": 0, "echo": True, "logprobs": 2}
    choice = openai.completions.create(**asked).choices[0]
    assert choice.text == "我 昨天 上学"
    assert choice.logprobs.tokens == ["我", " 昨天", " 上学"]
    assert choice.logprobs.token_logprobs[0] is None
    assert all(number < 0 for number in choice.logprobs.token_logprobs[1:])
    assert choice.logprobs.text_offset == [0, 1, 4]
    assert len(choice.logprobs.top_logprobs[1]) in (2, 3)


def test_openai_receives_errors(openai):
    import openai as module

    with pytest.raises(module.BadRequestError, match="max_tokens is 9999"):
        openai.completions.create(model="words", prompt="", max_tokens=9999)
    with pytest.raises(module.BadRequestError, match="There is no field 'min_p'") as caught:
        openai.completions.create(model="words", prompt="", user="me", extra_body={"min_p": 0.1})
    assert (caught.value.code, caught.value.param) == ("unknown_parameter", "min_p")
    with pytest.raises(module.BadRequestError, match=r"logit_bias is .* not supported"):
        openai.completions.create(model="words", prompt="", logit_bias={"5": -100})
    assert openai.completions.create(model="words", prompt="", user="me", extra_body={"metadata": {}}).choices
    with pytest.raises(module.NotFoundError, match="There is no model 'gpt'"):
        openai.completions.create(model="gpt", prompt="")


# --- the OpenAPI document -----------------------------------------------------------------------------------------


def test_the_openapi_document_names_every_path(client):
    document = client.ask("GET", "/openapi.json").value
    assert document["openapi"] == "3.1.0"
    for path in ["/v1/completions", "/v1/models", "/healthz", "/tokenize", "/detokenize", "/tokenizer_info"]:
        assert path in document["paths"]
    for path, operations in document["paths"].items():
        for method in operations:
            assert client.ask(method.upper(), path, {} if method == "post" else None).status in (200, 400)


@pytest.fixture(scope="module")
def operations(address):
    """Operations of the OpenAPI document, read by schemathesis."""
    schemathesis = pytest.importorskip("schemathesis")
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    return [operation.ok() for operation in schema.get_all_operations()]


def try_all(operations, mode: str, examples: int, judge) -> int:
    """Judge the answers to requests that schemathesis makes for each operation; return the number of requests."""
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis import GenerationMode

    asked, phases, checks = 0, [Phase.generate, Phase.shrink], list(HealthCheck)
    for operation in operations:

        @settings(max_examples=examples, deadline=None, derandomize=True, phases=phases, suppress_health_check=checks)
        @given(case=operation.as_strategy(generation_mode=GenerationMode(mode)))
        def ask(case):
            nonlocal asked
            asked += 1
            judge(case, case.call())

        ask()
    return asked


def test_valid_requests_of_schemathesis_are_answered(operations):
    def judge(case, answer):
        # The document cannot say that ids and units depend on the model and best_of on n.
        untold = answer.status_code == 400 and re.search("There is no (id|unit)|best_of is|ask for fewer", answer.text)
        assert answer.status_code == 200 or untold, (case.path, case.body, answer.text)

    assert try_all(operations, "positive", 4, judge) >= 25


def test_invalid_requests_of_schemathesis_are_refused_with_a_sentence(operations):
    def judge(case, answer):
        assert 400 <= answer.status_code < 500, (case.path, case.body, answer.text)
        assert len(json.loads(answer.content)["error"]["message"]) > 10

    assert try_all([each for each in operations if each.body], "negative", 10, judge) >= 60


# --- lm-evaluation-harness ----------------------------------------------------------------------------------------


def test_lm_evaluation_harness_measures_the_same_as_the_model(address, words):
    """The unmodified `local-completions` gets the tokenizer, log likelihoods and texts over HTTP."""
    pytest.importorskip("tenacity", reason="lm_eval[api] is not installed")
    module = pytest.importorskip("lm_eval.models.openai_completions", reason="lm_eval[api] is not installed")
    from lm_eval.api.instance import Instance

    url = f"{address}/v1/completions"
    harness = module.LocalCompletionsAPI(model="words", base_url=url, tokenizer_backend="remote")

    def ask(kind: str, *arguments: tuple) -> list:
        return getattr(harness, kind)([Instance(kind, {}, each, number) for number, each in enumerate(arguments)])

    pairs = [("我 昨天", " 上学 迟到 了"), ("", "老师 批评 了 。"), ("the cat", " Paris")]
    found = ask("loglikelihood", *pairs)
    for (context, continuation), (nats, is_greedy) in zip(pairs, found, strict=True):
        (scored,) = words.score([context + continuation], ranks=True)
        tokens = slice(len(words.tokens(context)), -1)
        assert nats == pytest.approx(scored.log_probabilities[tokens].sum(), rel=1e-4)
        assert is_greedy == all(scored.ranks[tokens] == 1)
    (rolling,) = ask("loglikelihood_rolling", ("我 昨天 上学 迟到 了 。",))
    (scored,) = words.score(["我 昨天 上学 迟到 了 。"])
    assert rolling == pytest.approx(scored.log_probabilities[:-1].sum(), rel=1e-4)
    (text,) = ask("generate_until", ("我 昨天", {"until": ["\n"], "max_gen_toks": 5, "temperature": 0}))
    assert len(words.tokens(text)) <= 5
