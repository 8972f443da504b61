"""The Python API gives the same results as the command line for the same texts and options."""

import inspect
import itertools
import json
import math
import signal

import numpy as np
import pytest

import rnnlm
from rnnlm import names
from rnnlm.api import as_parameters
from rnnlm.cli import run
from rnnlm.inference.generation import SamplingOptions
from rnnlm.inference.list_formats import FORMATS
from rnnlm.nn.cells import CELLS
from rnnlm.nn.initializers import INITIALIZERS
from rnnlm.nn.numerics import ACTIVATIONS
from rnnlm.nn.optimizers import OPTIMIZERS, Optimizer
from rnnlm.nn.outputs import LOSSES
from rnnlm.storage import checkpoint
from rnnlm.text.tokenizers import TOKENIZERS
from rnnlm.training import configuration
from rnnlm.training.numpy_engine import NumpyEngine
from rnnlm.training.options import DECLARATIONS
from rnnlm.training.schedules import SCHEDULES

LINES = [
    "我 昨天 上学 迟到 了 ， 老师 批评 了 我 。",
    "他 昨天 上学 迟到 了 ， 老师 批评 了 他 。",
    "the cat sat on the mat .",
] * 40
SMALL = {"hidden_size": 8, "epochs": 2, "lr": 0.05, "threads": 1, "progress": False}


@pytest.fixture(scope="module")
def model():
    return rnnlm.train(text=LINES, **SMALL)


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("".join(line + "\n" for line in LINES), encoding="utf-8")
    return path


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


# --- training ---------------------------------------------------------------------------------------------------------


def test_train_gives_the_model_of_the_command_line(corpus, tmp_path):
    command = [
        "train",
        str(corpus),
        "-o",
        str(tmp_path / "m.npz"),
        "--hidden-size",
        "8",
        "--epochs",
        "2",
        "--lr",
        "0.05",
    ]
    history = tmp_path / "h.jsonl"
    assert run([*command, "--threads", "1", "--history", str(history)]) == 0
    by_command = rnnlm.load(tmp_path / "m.npz")
    model = rnnlm.train(corpus, **SMALL)
    assert same(model.network.params, by_command.network.params)
    for key in ("options", "corpus", "baselines", "best_nats_per_token"):
        assert model.training[key] == by_command.training[key]
    timeless = [{**each, "tokens_per_second": 0} for each in model.history]
    assert timeless == [{**json.loads(line), "tokens_per_second": 0} for line in history.read_text().splitlines()]


def test_lines_in_memory_are_equivalent_to_a_file(corpus):
    from_file, from_lines = rnnlm.train(corpus, **SMALL), rnnlm.train(text=iter(LINES), **SMALL)
    assert same(from_file.network.params, from_lines.network.params)
    assert from_file.training["corpus"]["digest"] == from_lines.training["corpus"]["digest"]


def test_a_training_stopped_by_its_callback_can_be_resumed_exactly(corpus, tmp_path, model):
    seen = []
    early = rnnlm.train(corpus, **SMALL | {"progress": lambda report: seen.append(report) or len(seen) < 7})
    early.save(tmp_path / "early.npz")
    assert not same(early.network.params, model.network.params)
    resumed = rnnlm.train(corpus, resume=tmp_path / "early.npz", **SMALL)
    assert same(resumed.network.params, model.network.params)
    assert run(["train", str(corpus), "-o", str(tmp_path / "early.npz"), "--resume", "--threads", "1"]) == 0
    assert same(rnnlm.load(tmp_path / "early.npz").network.params, model.network.params)


def test_an_interrupted_training_returns_its_model():
    def interrupt(report):
        if report.step == 3:
            raise KeyboardInterrupt

    model = rnnlm.train(text=LINES, **SMALL | {"progress": interrupt})
    assert model.training["state"]["progress"]["step"] == 3
    assert math.isfinite(model.evaluate(LINES).perplexity)


@pytest.mark.parametrize(
    ("kind", "name"), [(Optimizer, "step"), (NumpyEngine, "train_step"), (NumpyEngine, "evaluate")]
)
def test_ctrl_c_anywhere_leaves_a_training_that_resumes_exactly(kind, name, corpus, tmp_path, monkeypatch, model):
    """Whatever is running when the signal arrives, the resumed training ends like an uninterrupted one."""
    whole, calls = getattr(kind, name), []

    def interrupted(self, *args, **options):
        result = whole(self, *args, **options)
        calls.append(name)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return result

    with monkeypatch.context() as patched:
        patched.setattr(kind, name, interrupted)
        early = rnnlm.train(corpus, **SMALL)
    assert 0 < early.training["state"]["progress"]["step"] < model.training["state"]["progress"]["step"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    early.save(tmp_path / "early.npz")
    assert same(rnnlm.train(corpus, resume=tmp_path / "early.npz", **SMALL).network.params, model.network.params)


def test_a_second_ctrl_c_raises():
    def interrupt(report):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not reached")

    with pytest.raises(KeyboardInterrupt):
        rnnlm.train(text=LINES, **SMALL | {"progress": interrupt})


def test_an_error_in_the_callback_is_passed_on():
    with pytest.raises(ZeroDivisionError):
        rnnlm.train(text=LINES, **SMALL | {"progress": lambda report: 1 / 0})
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_false_of_numpy_stops_a_training():
    model = rnnlm.train(text=LINES, **SMALL | {"progress": lambda report: np.float32(report.step) < 2})
    assert model.training["state"]["progress"]["step"] == 2


def test_resuming_a_finished_training_changes_nothing_without_more_epochs(tmp_path, model):
    model.save(tmp_path / "m.npz")
    again = rnnlm.train(text=LINES, resume=tmp_path / "m.npz", **SMALL | {"hidden_size": None})
    assert same(again.network.params, model.network.params)
    assert again.history == []
    assert "give more epochs" in again.notes[-1]
    more = rnnlm.train(text=LINES, resume=tmp_path / "m.npz", progress=False, epochs=3, threads=1)
    assert more.history[-1]["epoch"] == 3


def test_saving_a_loaded_model_keeps_the_weights_but_no_training_state(tmp_path, corpus, model):
    model.save(tmp_path / "a.npz")
    rnnlm.load(tmp_path / "a.npz").save(tmp_path / "b.npz")
    assert same(rnnlm.load(tmp_path / "b.npz").network.params, model.network.params)
    with pytest.raises(rnnlm.RnnlmError, match="saved without one"):
        rnnlm.train(corpus, resume=tmp_path / "b.npz", progress=False)


def test_init_from_starts_with_the_weights_of_another_model(tmp_path, model):
    model.save(tmp_path / "m.npz")
    started = rnnlm.train(text=LINES, init_from=tmp_path / "m.npz", progress=False, epochs=0.01, lr=1e-9)
    for name, array in started.network.params.items():
        assert array == pytest.approx(model.network.params[name], abs=1e-6)


def test_the_progress_bar_shows_the_loss(capsys):
    rnnlm.train(text=LINES, **SMALL | {"progress": True})
    assert "100%" in (shown := capsys.readouterr().err)
    assert "valid " in shown


def test_train_ngram_gives_the_model_of_the_command_line(corpus, tmp_path):
    assert run(["ngram", "train", str(corpus), "--order", "2", "-o", str(tmp_path / "n.npz")]) == 0
    by_command, model = rnnlm.load(tmp_path / "n.npz"), rnnlm.train_ngram(corpus, order=2)
    assert same(model.predictor.arrays(), by_command.predictor.arrays())
    assert model.training == by_command.training
    assert checkpoint.read_header(tmp_path / "n.npz")["order"] == model.predictor.order == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hiden_size": 3}, "no option hiden_size. Did you mean hidden_size"),
        ({"cell": "x"}, "cell is 'x'; expected one of rnn, gru, lstm, cifg"),
        ({"epochs": 0}, "epochs is 0; expected a number of more than 0"),
        ({"dropout": 1.0}, "dropout is 1.0; expected a number of at least 0 and less than 1"),
        ({"tied": 1}, "tied is 1; expected True or False"),
        ({"time": "soon"}, "time is 'soon'; expected seconds or a duration such as '10m'"),
        ({"hidden_size": True}, "hidden_size is True; expected a whole number"),
        ({"loss": "mse", "softmax": "adaptive"}, "Use softmax='full', or loss='cross-entropy'"),
        (
            {"cell": "mingru", "weight_dropout": 0.1},
            "weight_dropout drops entries of the recurrent matrix, which the cell",
        ),
        ({"shift": True}, "Leave shift out, or use context='stream'"),
        ({"preset": "huge"}, "preset is 'huge'; expected one of tiny"),
        ({"resume": "a.npz", "init_from": "b.npz"}, "give one of them"),
        ({"corpus": "missing.txt"}, "exactly one"),
        ({"engine": "jax"}, "engine is 'jax'; expected one of numpy, torch"),
        ({"precision": "bf16"}, "are for engine='torch'"),
        ({"precision": "half", "engine": "torch"}, "precision is 'half'; expected one of float32"),
        ({"init_vocabulary": "new"}, "init_vocabulary is 'new'; expected one of refuse"),
        ({"changed_text": True}, "changed_text is for resume"),
        ({"activation": "relu"}, "activation is for cell='rnn'; lstm has its own"),
        ({"threads": 0}, "threads is 0; expected a whole number from 1"),
        ({"threads": 1.5}, "threads is 1.5; expected a whole number"),
        ({"threads": True}, "threads is True; expected a whole number"),
        ({"progress": 1}, "progress is 1; expected True, False or a function"),
        ({"encoding": "gb18030"}, "encoding is for files"),
        ({"valid": 3}, "valid is 3; expected lines"),
        ({"valid": [3]}, "valid has 3 as line 0; expected a str"),
        ({"valid": []}, "no text in valid"),
    ],
)
def test_error_messages_name_the_parameter(options, message):
    with pytest.raises(rnnlm.RnnlmError) as error:
        rnnlm.train(text=LINES, **options)
    assert message in str(error.value)


def test_numpy_numbers_and_durations_are_accepted():
    model = rnnlm.train(text=LINES, **SMALL | {"hidden_size": np.int64(4), "epochs": np.float32(1)}, time="1h")
    assert model.training["options"] | {"hidden_size": 4, "epochs": 1.0, "time": 3600.0} == model.training["options"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({}, "exactly one"),
        ({"text": "one string"}, "expected lines"),
        ({"text": b"bytes"}, "expected lines"),
        ({"text": 3}, "expected lines"),
        ({"text": ["a b", b"bytes"]}, "text has b'bytes' as line 1"),
        ({"text": ["a \ud800 b"]}, "surrogate"),
        ({"text": []}, "no text in text"),
        ({"text": ["", " "]}, "no text in text"),
        ({"corpus": []}, "No text is given"),
        ({"corpus": 3}, "corpus is 3; expected a path"),
        ({"corpus": ["a.txt", None]}, "expected a path"),
        ({"corpus": LINES[:2]}, "does not exist"),
    ],
)
@pytest.mark.parametrize("train", [rnnlm.train, rnnlm.train_ngram])
def test_values_that_are_not_texts_are_refused(train, text, message):
    with pytest.raises(rnnlm.RnnlmError, match=message):
        train(**text)


def test_lines_may_end_with_newlines(corpus):
    def counts(text):
        return rnnlm.train_ngram(text=text, level="char").vocabulary.counts

    with open(corpus, encoding="utf-8") as file:
        from_file = counts(file)
    assert from_file == counts(LINES) == counts(["\n".join(LINES)])


def test_an_error_in_a_generator_of_lines_is_passed_on():
    def lines():
        yield from LINES
        raise OSError("the network is gone")

    with pytest.raises(OSError, match="the network"):
        rnnlm.train(text=lines(), **SMALL)


def test_a_command_in_a_message_keeps_its_options():
    command = "rnnlm train TEXT -o m.npz --resume"
    assert as_parameters(f"Use: {command}, or --init-from m.npz.") == f"Use: {command}, or init_from m.npz."


def test_load_refuses_a_number_as_path():
    with pytest.raises(TypeError):
        rnnlm.load(0)


# --- declarations -----------------------------------------------------------------------------------------------------


def test_declared_names_are_those_of_the_families():
    families = {
        names.LEVELS: TOKENIZERS,
        names.CELLS: CELLS,
        names.ACTIVATIONS: ACTIVATIONS,
        names.INITIALIZERS: INITIALIZERS,
        names.OPTIMIZERS: OPTIMIZERS,
        names.SCHEDULES: SCHEDULES,
        names.LOSSES: LOSSES,
        names.PRESETS: configuration.PRESETS,
        names.LIST_FORMATS: FORMATS,
    }
    for declared, family in families.items():
        assert sorted(declared) == sorted(family)


def test_signature_and_docstring_have_every_option_of_the_command_line():
    parameters = inspect.signature(rnnlm.train).parameters
    for name, declaration in DECLARATIONS.items():
        assert name in parameters
        assert f"{name}: {as_parameters(declaration.help)}" in rnnlm.train.__doc__
    assert "options" not in parameters
    assert {"order", "min_count"} <= inspect.signature(rnnlm.train_ngram).parameters.keys()
    assert "hidden_size" not in inspect.signature(rnnlm.train_ngram).parameters


def test_dir_of_the_package_is_its_public_names():
    assert dir(rnnlm) == sorted(rnnlm.__all__)
    assert all(getattr(rnnlm, name) for name in dir(rnnlm))
    with pytest.raises(AttributeError):
        rnnlm.tarin  # noqa: B018


# --- models -----------------------------------------------------------------------------------------------------------


def test_repr_describes_a_model(model):
    assert repr(model).startswith("<LanguageModel: LSTM 1 x 8 with a 5-gram, 19 words, sentence, perplexity ")
    assert repr(rnnlm.train_ngram(text=LINES)) == "<LanguageModel: 3-gram, 19 words, sentence>"


def test_candidates_may_be_restricted_and_keep_their_probabilities(model):
    every = dict(model.predict("我 昨天", k=100).candidates)
    begin = model.predict("我 昨天", k=100, prefix="t").candidates
    assert dict(begin) == {token: p for token, p in every.items() if token.startswith("t")}
    allowed = model.predict("我 昨天", k=2, allowed=["他", "我", "nobody", "cat"]).candidates
    assert dict(allowed).items() <= every.items()
    assert [each.token for each in allowed] == sorted(["他", "我", "cat"], key=every.__getitem__, reverse=True)[:2]


def test_generate_gives_the_text_of_sample():
    model = rnnlm.train(text=LINES, level="char", ngram=0, **SMALL)
    pieces = list(model.generate("the", 30, temperature=0.5, seed=3))
    options, rng = SamplingOptions(30, 0.5), np.random.default_rng(3)
    ids = [step[0] for step in model.sample("the", options, rng)]
    whole = "".join(pieces)
    assert (len(pieces), whole) == (30, model.render(ids))
    assert "".join(model.generate("the", 30, temperature=0.5, seed=4)) != whole
    stop = whole[10:12]
    assert "".join(model.generate("the", 30, temperature=0.5, seed=3, stop=[stop])) == whole[: whole.index(stop)]


def test_score_of_one_line_agrees_with_score_of_several(model):
    lines = LINES[:3]
    assert [model.score(line).logprob_nats for line in lines] == pytest.approx(
        [each.logprob_nats for each in model.score(lines)]
    )


def test_evaluate_gives_the_same_for_a_file_and_for_lines(model, corpus):
    by_lines = model.evaluate(LINES)
    assert by_lines == model.evaluate(corpus) == model.evaluate(str(corpus))
    scored = sum(each.logprob_nats for each in model.score(LINES))
    assert by_lines.logprob_nats == pytest.approx(scored, rel=1e-5)


@pytest.mark.parametrize("level", ["word", "char"])
def test_steps_of_a_scorer_add_up_to_the_score_of_a_line(level):
    model = rnnlm.train(text=LINES, level=level, **SMALL)
    scorer = model.scorer()
    for line in LINES[:3]:
        state, total = scorer.start(), 0.0
        for token in [*model.tokens(line), "</s>"]:
            assert np.exp(state.log_probs).sum() == pytest.approx(1, abs=1e-4)
            total += state.log_probs[scorer.ids([token])[0]]
            _, state = scorer.step(state, token)
        assert total == pytest.approx(model.score(line).logprob_nats, rel=1e-4)


def test_a_scorer_gives_the_same_for_many_hypotheses_as_for_one(model):
    scorer = model.scorer()
    start = scorer.start()
    tokens = ["我", "他", "the", "nobody knows"]
    together = scorer.steps([start] * len(tokens), tokens)
    for token, state in zip(tokens, together, strict=True):
        log_probs, alone = scorer.step(start, token)
        assert log_probs == pytest.approx(state.log_probs, abs=1e-5)
        assert alone.memory == pytest.approx(state.memory, abs=1e-6)
        some, _ = scorer.step(start, token, candidates=["昨天", "cat"])
        assert some == pytest.approx(log_probs[scorer.ids(["昨天", "cat"])])
    mixed = scorer.steps([together[1], together[0]], ["昨天", "昨天"])
    assert mixed[0].log_probs == pytest.approx(scorer.step(together[1], "昨天")[0], abs=1e-5)
    assert scorer.steps([], []) == []


def test_an_id_of_any_integer_type_is_accepted(model):
    scorer = model.scorer()
    start = scorer.start()
    expected, _ = scorer.step(start, "昨天")
    (token_id,) = scorer.ids(["昨天"])
    assert token_id > 2
    for same_id in (int(token_id), token_id, np.int64(token_id), np.array(token_id)):
        assert np.array_equal(scorer.step(start, same_id)[0], expected)
    ids = np.arange(1, len(expected))[::-1]
    assert scorer.step(start, "昨天", candidates=ids)[0] == pytest.approx(expected[ids], abs=1e-6)


def test_scores_given_to_a_decoder_are_read_only(model):
    log_probs, _ = model.scorer().step(model.scorer().start(), "我")
    with pytest.raises(ValueError, match="read-only"):
        log_probs += 1


def test_a_scorer_refuses_wrong_tokens_and_models(model):
    scorer = model.scorer()
    with pytest.raises(ValueError, match="1 states and 2 tokens"):
        scorer.steps([scorer.start()], ["我", "他"])
    for wrong in (999, -1, 10**30):
        with pytest.raises(ValueError, match=f"id {wrong} is outside"):
            scorer.step(scorer.start(), wrong)
    for wrong in (1.0, None, b"the"):
        with pytest.raises(TypeError):
            scorer.step(scorer.start(), wrong)
    with pytest.raises(ValueError, match="expected a list of tokens"):
        scorer.step(scorer.start(), "我", candidates="昨天")
    two_sided = rnnlm.train(text=LINES, bidirectional=True, **SMALL)
    with pytest.raises(rnnlm.RnnlmError, match="bidirectional"):
        two_sided.scorer()


def test_probabilities_of_all_strings_of_three_tokens_sum_to_one():
    model = rnnlm.train(text=["a b", "b a b", "a"] * 20, **SMALL)
    scorer, total = model.scorer(), 0.0
    for ids in itertools.product(range(1, len(model.vocabulary)), repeat=3):
        state, log_prob = scorer.start(), 0.0
        for each in ids:
            log_prob += state.log_probs[each]
            _, state = scorer.step(state, each)
        total += math.exp(log_prob)
    assert total == pytest.approx(1, abs=1e-4)


def test_numpy_integers_are_whole_numbers(model):
    assert model.predict("我", k=np.int64(2)) == model.predict("我", k=2)
    assert list(model.generate("我", length=np.int32(3), seed=1)) == list(model.generate("我", length=3, seed=1))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda model: model.predict("我", k=0), "k is 0; expected a whole number from 1 on"),
        (lambda model: model.predict("我", allowed="他们"), "allowed is '他们'; expected several tokens"),
        (lambda model: model.fill("我 ____", beam=0), "beam is 0"),
        (lambda model: model.fill("我 ____", k=-1), "k is -1"),
        (lambda model: model.predict("我", k=True), "k is True; expected a whole number from 1 on"),
        (lambda model: model.generate("我", length=2.5), "length is 2.5; expected a whole number from 0 on"),
        (lambda model: model.generate("我", top_p=0.0), "top_p is 0.0; expected a number above 0 and at most 1"),
        (
            lambda model: model.generate("我", temperature=-1.0),
            "temperature is -1.0; expected a finite number from 0 on",
        ),
        (lambda model: model.generate("我", repetition_penalty=math.nan), "repetition_penalty is nan"),
        (lambda model: model.score("a\nb"), "several; give text.splitlines()"),
        (lambda model: model.evaluate(["a", 3]), "text has 3 as line 1; expected a str"),
        (lambda model: model.evaluate([chr(0xD800)]), "half of a surrogate pair"),
    ],
)
def test_a_model_refuses_bad_arguments(model, ask, message):
    with pytest.raises(rnnlm.RnnlmError) as error:
        ask(model)
    assert message in str(error.value)


def test_blas_has_one_thread_during_training_and_its_own_number_afterwards(monkeypatch):
    from rnnlm import blas

    if (functions := blas._functions()) is None:
        pytest.skip("NumPy has no OpenBLAS of its own")
    get, put = functions
    for variable in blas.BLAS_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    before, seen = get(), []
    put(2)
    try:
        model = rnnlm.train(text=LINES, **SMALL | {"progress": lambda report: seen.append(get())})
        model.predict("我")
        assert (set(seen), get()) == ({1}, 2)
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")  # set by the user
        rnnlm.train(text=LINES, **SMALL | {"progress": lambda report: seen.append(get())})
        assert (seen[-1], get()) == (2, 2)
    finally:
        put(before)


def test_blas_gets_its_threads_back_after_the_last_of_several_trainings(monkeypatch):
    from rnnlm import blas

    if (functions := blas._functions()) is None:
        pytest.skip("NumPy has no OpenBLAS of its own")
    get, put = functions
    for variable in blas.BLAS_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    before, one, other = get(), blas.one_blas_thread(), blas.one_blas_thread()
    put(2)
    try:
        one.__enter__()
        other.__enter__()
        one.__exit__(None, None, None)  # threads may leave in the order in which they entered
        assert get() == 1
        other.__exit__(None, None, None)
        assert get() == 2
    finally:
        put(before)
