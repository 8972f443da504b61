"""The page with a model inside, opened from disk in Chromium, gives Python's probabilities and sends no requests."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from rnnlm import LanguageModel
from rnnlm.errors import ExchangeError
from rnnlm.inference.model import finished
from rnnlm.model_header import network_of
from rnnlm.names import CELLS
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.playground import bundle
from rnnlm.playground.answers import encoded
from rnnlm.playground.served import ServedModel
from rnnlm.playground.standalone import export_html
from rnnlm.text.tokenizers import CharTokenizer, TokenTokenizer, WordTokenizer
from rnnlm.text.vocabulary import Vocabulary
from tests.playground.conftest import CHARACTERS

CHINESE = ["我", "昨天", "上学", "迟到", "了", "，", "。", "学校"]
WORDS = [*CHINESE, "the", "cat", "Paris", "don't", "10:30", '"', "(", ")", "."]
HOSTILE = ["</script><script>window.injected=1</script>", "<img/src=x/onerror=window.injected=1>", "<!--", "word"]
WORD_TEXT = 'the cat  don\'t (Paris) 10:30.\n\n我 昨天 上学 ， zebra 迟到 了 。\n"the cat" '
EACH = pytest.mark.parametrize(
    ("cell", "config"),
    [
        *((cell, {"num_layers": 2}) for cell in CELLS),
        ("rnn", {"activation": "relu"}),
        ("rnn", {"activation": "identity", "embedding_size": 0}),
        ("gru", {"output": "adaptive", "cutoffs": (6, 12), "div_value": 2.0}),
        ("lstm", {"tied": True, "embedding_size": 12}),
    ],
)


def made(tokenizer, tokens, context="sentence", counts=None, **config) -> LanguageModel:
    """Return a model with random weights that are large enough for contexts to matter."""
    vocabulary = Vocabulary(tokens, counts or [1] * len(tokens))
    settings = NetworkConfig(len(vocabulary), **{"hidden_size": 12, "embedding_size": 6} | config)
    drawn = Network.initialize(settings, np.random.default_rng(1)).params
    factor = 3 if settings.activation == "tanh" else 1  # unbounded activations would explode
    params = {name: (factor * each).astype(np.float32) for name, each in drawn.items()}
    return LanguageModel(tokenizer, vocabulary, network_of(settings, params), context)


class Pages:
    """Opens pages from a folder, and records their requests and messages."""

    def __init__(self, browser, folder: Path):
        self.context = browser.new_context(locale="en-US", reduced_motion="reduce")
        self.folder, self.complaints, self.requests = folder, [], []
        self.context.on("console", lambda message: self.complaints.append(message.text))
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.context.on("request", lambda request: self.requests.append(request.url))
        self._numbers = itertools.count()

    def open(self, content: bytes, part: str = "type"):
        path = self.folder / f"page-{next(self._numbers)}.html"
        path.write_bytes(content)
        page = self.context.new_page()
        page.goto(f"{path.as_uri()}#{part}")
        page.wait_for_selector("[role=tab][aria-selected=true]")
        return page

    def asked(self, model: LanguageModel, bits: int = 16):
        """Return a function that calls the page's model as the page does, but returns all digits."""
        content = export_html(model, "m", bits).content.decode()
        data = "".join(re.findall(r'<script type="text/plain".*?</script>\n', content))
        files = bundle.sources("static") | bundle.sources("offline")
        script = bundle.joined(files, "answers.js") + "window.ask = modules.answers.ask;"
        page = self.context.new_page()
        page.set_content(f'{data}<script type="module">{script}</script>')
        return lambda path, **body: page.evaluate("([path, body]) => ask(path, body)", [path, body])


@pytest.fixture
def pages(browser, tmp_path):
    """Pages; at the end, check that they logged nothing and requested only their own files."""
    made = Pages(browser, tmp_path)
    yield made
    made.context.close()
    assert made.complaints == []
    assert [url for url in made.requests if not url.startswith((tmp_path.as_uri(), "data:", "about:"))] == []


def surprise(model: LanguageModel, text: str) -> dict:
    """Return the server's answer."""
    return json.loads(encoded(finished(ServedModel("m", model).surprise(text, 3))))


def log_probabilities(tokens) -> np.ndarray:
    return -np.log(2) * np.array([each["bits"] for each in tokens])


@EACH
@pytest.mark.parametrize("level", ["word", "char"])
def test_log_probabilities_agree_with_the_server_and_with_score(pages, cell, config, level):
    if level == "word":
        model, text = made(WordTokenizer(), WORDS, cell=cell, **config), WORD_TEXT
    else:
        model, text = made(CharTokenizer(), CHARACTERS, "stream", cell=cell, **config), "The rain,\n  then 'Z' 我"
    found = pages.asked(model)("/api/surprise", text=text, k=3)
    expected = surprise(model, text)
    wanted = expected["tokens"]
    assert [(each["text"], each["token"], each["unknown"]) for each in found["tokens"]] == [
        (each["text"], each["token"], each["unknown"]) for each in wanted
    ]
    difference = log_probabilities(found["tokens"]) - log_probabilities(wanted)
    assert np.abs(difference).max() < 1e-3
    assert found["perplexity"] == pytest.approx(expected["perplexity"], rel=1e-3)
    assert found["bits_per_char"] == pytest.approx(expected["bits_per_char"], rel=1e-3)
    assert found["oov"] == expected["oov"] > 0
    if level == "word":
        lines = [line for line in text.split("\n") if line.strip()]
        scored = sum(each.logprob_nats for each in model.score(lines))
        assert found["logprob_nats"] == pytest.approx(scored, abs=1e-3 * len(wanted))


def test_the_reported_loss_by_rounding_holds_for_the_page(pages):
    """With 8 bits the loss is larger than with 16, and the page's errors are within what is reported."""
    model = made(WordTokenizer(), WORDS, num_layers=2)
    exact = log_probabilities(surprise(model, WORD_TEXT)["tokens"])
    worst = {}
    for bits in (16, 8):
        found = pages.asked(model, bits)("/api/surprise", text=WORD_TEXT, k=1)["tokens"]
        worst[bits] = np.abs(log_probabilities(found) - exact).max()
        assert worst[bits] < 3 * export_html(model, bits=bits).loss.largest
    assert worst[16] < 1e-3 < worst[8] < 0.5


@pytest.mark.parametrize("text", ["", "我", "我 昨", "the c", "the cat ", "don", "10:3", "我\n昨天 上", "Par", "zeb"])
def test_candidates_agree_with_the_server(pages, text):
    model = made(WordTokenizer(), WORDS)
    ask, served = pages.asked(model), ServedModel("m", model)
    for options in ({"complete": True, "k": 5}, {"k": 5}, {"ahead": 2, "k": 3, "complete": True}):
        found, wanted = ask("/api/predict", text=text, **options), finished(served.predict(text, **options))
        assert found["unknown"] == wanted["unknown"]
        assert [each["text"] for each in found["candidates"]] == [each["text"] for each in wanted["candidates"]]
        for one, other in zip(found["candidates"], wanted["candidates"], strict=True):
            assert one["probability"] == pytest.approx(other["probability"], rel=1e-2)


def test_chinese_is_segmented_by_the_models_counts(pages):
    counts = [50, 40, 30, 20, 50, 60, 60, 5, *[1] * 9]
    model = made(WordTokenizer(), WORDS, counts=counts)
    tokens = pages.asked(model)("/api/surprise", text="我昨天上学迟到了，用GPT-4。", k=1)["tokens"]
    assert [each["token"] for each in tokens] == [
        *("我", "昨天", "上学", "迟到", "了", "，", "用", "GPT-4", "。", "</s>")
    ]


def test_level_token_splits_at_spaces(pages):
    model = made(TokenTokenizer(), ["▁the", "▁cat", "N"])
    tokens = pages.asked(model)("/api/surprise", text="<s> ▁the  ▁cat N. </s>\n<unk>", k=1)["tokens"]
    assert [each["token"] for each in tokens] == ["▁the", "▁cat", "N.", "</s>", "<unk>", "</s>"]


def test_the_exported_file_works_from_disk(pages, expect):
    model = made(WordTokenizer(), WORDS)
    page = pages.open(export_html(model, "my model").content)
    visible = page.locator("[role=tab]:visible")
    assert visible.all_text_contents() == ["Type", "Surprise", "Write"]
    page.focus("#type-text")
    page.keyboard.insert_text("the cat")
    expect(page.locator("#type-candidates li")).to_have_count(10)
    page.keyboard.press("Tab")
    expect(page.locator("#type-text")).to_have_value(re.compile("the cat.+"))
    page.fill("#type-text", "the cat")
    page.click("#tab-surprise")
    expect(page.locator("#surprise-painting [role=option]")).to_have_count(3)
    score = model.score("the cat")
    perplexity = np.exp(-score.logprob_nats / 3)
    expect(page.locator("#surprise-figures")).to_contain_text(f"{perplexity:.1f}")
    page.click("#tab-sample")
    page.click("#sample-start")
    expect(page.locator("#sample-state")).to_have_text(re.compile(r"Finished: \d+ characters?\."))
    page.fill("#sample-seed", "5")
    page.fill("#sample-count", "2")
    texts = []
    for _ in range(2):
        page.click("#sample-start")
        page.wait_for_selector("#sample-start:enabled")
        texts.append(page.locator("#sample-output .written").all_text_contents())
    assert texts[0] == texts[1]  # the seed repeats them
    assert len(set(texts[0])) == 2
    page.click("#tab-surprise")
    page.fill("#surprise-text", "the cat")
    page.locator("#surprise-painting [role=option]").first.click()
    page.fill("#memory-word", "Paris")
    page.keyboard.press("Enter")
    expect(page.locator("#memory-painting [role=option]")).to_have_count(2)
    page.wait_for_url(re.compile(r"#surprise\?text=the"))
    page.reload()
    expect(page.locator("#surprise-text")).to_have_value("the cat")
    page.click("#language")
    expect(page.locator("#tab-type")).to_have_text("输入")


def test_hostile_tokens_are_shown_as_text(pages, expect):
    model = made(TokenTokenizer(), HOSTILE)
    page = pages.open(export_html(model, HOSTILE[0]).content)
    expect(page.locator("#type-candidates .token")).to_contain_text([re.compile("."), re.compile(".")])
    shown = " ".join(page.locator("#type-candidates .token").all_text_contents())
    assert HOSTILE[0] in shown
    assert HOSTILE[1] in shown
    assert page.locator("#model option").text_content() == HOSTILE[0]
    assert page.evaluate("window.injected") is None


def test_models_without_a_page_are_refused(both, ngram):
    for model, words in ((both, "one direction"), (ngram, "recurrent network")):
        with pytest.raises(ExchangeError, match=words):
            export_html(model)
    with pytest.raises(ExchangeError, match="expected one of 16, 8"):
        export_html(made(WordTokenizer(), WORDS), bits=4)


def test_every_module_uses_the_import_and_export_forms_that_can_be_joined():
    files = bundle.sources("static") | bundle.sources("offline")
    for name, source in files.items():
        if name.endswith(".js"):
            assert "</script" not in source, name
            for line in re.findall(r"^(?:import|export)\b.*", source, re.MULTILINE):
                assert re.match(
                    r'import \{[^}]*\} from "\./\w+\.js";$|export (?:async )?(?:function\*?|class|const) \w+', line
                ), f"{name}: {line}"
