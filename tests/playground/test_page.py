"""The page of `rnnlm serve` in a real browser: all tests share one server and one Chromium."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnlm.cli import run
from rnnlm.inference.model import finished
from rnnlm.language_model import LanguageModel
from rnnlm.model_header import network_of
from rnnlm.nn.bidirectional import BidirectionalNetwork
from rnnlm.nn.network import Network, NetworkConfig
from rnnlm.playground.answers import encoded
from rnnlm.playground.neurons import activations
from rnnlm.playground.served import ServedModel
from rnnlm.text.tokenizers import CharTokenizer, WordTokenizer
from rnnlm.text.vocabulary import Vocabulary

STATIC = Path(__file__).parents[2] / "rnnlm" / "playground" / "static"
PARTS = ["type", "surprise", "sample", "rank", "fill", "neurons"]
CORPUS = "我 昨天 上学 迟到 了 。\n你 今天 放学 早 了 。\n他 明天 请假 。\n" * 30
HOSTILE = "<img/src=x/onerror=window.injected=1>"
ANSWERED = 10_000  # milliseconds


# --- models -------------------------------------------------------------------------------------------------------


def save(path: Path, tokenizer, tokens: list[str], favourite: int = 0, **config) -> None:
    """Save a model with random weights that prefers one of its tokens."""
    vocabulary = Vocabulary(tokens, [1] * len(tokens))
    settings = NetworkConfig(len(vocabulary), hidden_size=12, num_layers=2, embedding_size=6, **config)
    kind = BidirectionalNetwork if settings.bidirectional else Network
    params = dict(kind.initialize(settings, np.random.default_rng(1)).params)
    params["output.bias"][3 + favourite] = 3
    context = "stream" if isinstance(tokenizer, CharTokenizer) else "sentence"
    LanguageModel(tokenizer, vocabulary, network_of(settings, params), context).save(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Files of models: words learnt by heart, characters, hostile tokens, bidirectional, n-gram."""
    folder = tmp_path_factory.mktemp("models")
    names = ["words", "characters", HOSTILE.replace("/", " "), "both", "ngram"]
    paths = [folder / f"{name}.npz" for name in names]
    corpus = folder / "corpus.txt"
    corpus.write_text(CORPUS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNLM_CACHE", str(folder / "cache"))
        small = [
            "--hidden-size",
            "16",
            "--embedding-size",
            "8",
            "--dropout",
            "0",
            "--batch-size",
            "4",
            "--threads",
            "1",
        ]
        options = ["--epochs", "40", "--lr", "0.03", "--bptt", "32", "--seed", "1"]
        assert run(["train", str(corpus), "-o", str(paths[0]), *small, *options]) == 0
        assert run(["ngram", "train", str(corpus), "-o", str(paths[4]), "--order", "2"]) == 0
    save(paths[1], CharTokenizer(), list("etaoinshrdlu \n.\"'TH"))
    save(paths[2], WordTokenizer(), [HOSTILE, "</script><script>window.injected=1</script>", "word"])
    save(paths[3], WordTokenizer(), ["我", "昨天", "上学", "。"], bidirectional=True)
    return paths


# --- server and browser -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(models):
    """Address of `rnnlm serve`."""
    command = [sys.executable, "-m", "rnnlm", "serve", "--port", "0"]
    for path in models:
        command += ["-m", str(path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True, encoding="utf-8") as server:
        assert server.stdout is not None
        found = re.search(r"http://[\w.:]+", server.stdout.readline())
        if found is None:
            pytest.fail(f"rnnlm serve ended with {server.wait()} before it said where it listens")
        yield found[0]
        server.terminate()


class Visit:
    """An open page, with its requests and its console messages."""

    def __init__(self, browser, address: str, **options):
        settings = {"locale": "en-US", "viewport": {"width": 1000, "height": 800}, "reduced_motion": "reduce"} | options
        self.address = address
        self.context = browser.new_context(**settings)
        self.context.set_default_timeout(ANSWERED)
        self.requests: list = []
        self.complaints: list[str] = []
        self.context.on("request", self._asked)
        self.context.on("console", lambda message: self._heard(message.type, message.text))
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.page = self.context.new_page()

    def _asked(self, request) -> None:
        self.requests.append(request)

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def open(self, part: str = "type", model: int = 0):
        self.page.goto(f"{self.address}/#{part}")
        self.page.wait_for_selector("[role=tab][aria-selected=true]")
        if model:
            self.page.select_option("#model", index=model)
        return self.page

    def asked(self, path: str) -> list[dict]:
        """Return the bodies of the requests to a path."""
        return [json.loads(each.post_data) for each in self.requests if each.url == self.address + path]


@pytest.fixture
def visit(browser, address):
    """A function that opens pages. At the end, check that all requests went to the server and nothing was logged."""
    opened: list[Visit] = []

    def start(**options) -> Visit:
        opened.append(Visit(browser, address, **options))
        return opened[-1]

    yield start
    for each in opened:
        each.context.close()
        assert {
            request.url.partition("#")[0] for request in each.requests if not request.url.startswith(address + "/")
        } == set()
        assert each.complaints == []


def bars(page, name: str = "type") -> list[str]:
    """Return the tokens of the bars as soon as they belong to the current text."""
    page.wait_for_selector(f"#{name}-candidates:not([aria-busy]) li")
    return [text.removesuffix("Tab") for text in page.locator(f"#{name}-candidates .token").all_text_contents()]


# --- type ---------------------------------------------------------------------------------------------------------


def test_typing_changes_the_bars_and_a_click_appends_a_token(visit, expect):
    page = visit().open()
    first = page.locator("#type-candidates .token").first
    page.focus("#type-text")
    page.keyboard.insert_text("我 昨天")
    expect(first).to_have_text("上学Tab")
    page.keyboard.insert_text(" 上学")
    expect(first).to_have_text("迟到Tab")
    widths = page.locator("#type-candidates .bar").evaluate_all("bars => bars.map(bar => bar.clientWidth)")
    assert widths[0] > 3 * widths[1]
    percents = page.locator("#type-candidates .percent").all_text_contents()
    assert re.fullmatch(r"\d+\s%", percents[0])
    second = bars(page)[1]
    page.locator("#type-candidates button").nth(1).click()
    expect(page.locator("#type-text")).to_have_value(f"我 昨天 上学 {second}")
    expect(page.locator("#type-text")).to_be_focused()
    page.keyboard.press("Control+z")  # the append can be undone
    expect(page.locator("#type-text")).to_have_value("我 昨天 上学")


def test_tab_appends_the_first_token_and_escape_then_lets_tab_leave(visit, expect):
    page = visit().open()
    field = page.locator("#type-text")
    field.focus()
    page.keyboard.insert_text("我 昨天")
    page.keyboard.press("Tab")  # perhaps before the answer has arrived
    expect(field).to_have_value("我 昨天 上学")
    bars(page)
    page.keyboard.press("Tab")
    expect(field).to_have_value("我 昨天 上学 迟到")
    bars(page)
    assert "Escape" in page.locator("#" + field.get_attribute("aria-describedby")).inner_text()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.locator("#type-candidates button").first).to_be_focused()
    page.keyboard.press("Enter")  # appends it, and the focus stays
    expect(field).to_have_value(re.compile("我 昨天 上学 迟到 .+"))
    expect(page.locator("#type-candidates button").first).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(field).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.locator("#tab-type")).to_be_focused()


def test_only_the_text_before_the_caret_is_used(visit, expect):
    page = visit().open()
    page.focus("#type-text")
    page.keyboard.insert_text("我 昨天 了 。")
    bars(page)
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#type-candidates .token").first).to_have_text("上学Tab")
    page.keyboard.press("Tab")
    expect(page.locator("#type-text")).to_have_value("我 昨天 上学 了 。")


def test_a_late_answer_is_dropped(visit, expect):
    opened = visit()
    page = opened.open()
    bars(page)
    held = []

    def hold(route):
        if json.loads(route.request.post_data)["text"] == "他":
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/predict", hold)
    page.focus("#type-text")
    page.keyboard.insert_text("他")
    page.wait_for_timeout(50)
    page.keyboard.press("Backspace")
    page.keyboard.insert_text("我 昨天")
    expect(page.locator("#type-candidates .token").first).to_have_text("上学Tab")
    assert len(held) == 1
    late = {"context": "", "unknown": [], "candidates": [{"token": "late", "probability": 1, "text": "late"}]}
    held[0].fulfill(json=late)
    page.wait_for_timeout(100)
    assert "late" not in bars(page)


def test_no_request_is_sent_during_chinese_composition(visit, expect):
    opened = visit(locale="zh-CN")
    page = opened.open()
    bars(page)
    page.focus("#type-text")
    keyboard = opened.context.new_cdp_session(page)
    expect(page.locator("#type-ahead li")).to_have_count(3)  # the second request has been sent, too
    before = len(opened.asked("/api/predict"))
    for typed in ("w", "wo", "wo z", "wo zuo", "wo zuo tian"):
        keyboard.send(
            "Input.imeSetComposition", {"text": typed, "selectionStart": len(typed), "selectionEnd": len(typed)}
        )
    expect(page.locator("#type-text")).to_have_value("wo zuo tian")
    page.wait_for_timeout(100)
    assert len(opened.asked("/api/predict")) == before
    keyboard.send("Input.insertText", {"text": "我 昨天"})
    expect(page.locator("#type-candidates .token").first).to_have_text("上学Tab")
    assert {each["text"] for each in opened.asked("/api/predict")[before:]} == {"我 昨天"}


def test_unknown_words_are_named(visit, expect):
    page = visit().open()
    page.focus("#type-text")
    page.keyboard.insert_text("我 恐龙")
    expect(page.locator("#type-unknown")).to_have_text("Unknown to the model: 恐龙")


def test_a_half_typed_word_is_completed(visit, expect):
    page = visit().open()
    field, first = page.locator("#type-text"), page.locator("#type-candidates .token").first
    field.focus()
    page.keyboard.insert_text("我 昨天 上")
    expect(first).to_have_text("上学Tab")
    expect(page.locator("#type-unknown")).to_be_empty()  # the beginning of a known word is not unknown
    page.keyboard.press("Tab")
    expect(field).to_have_value("我 昨天 上学")
    expect(first).to_have_text("迟到Tab")
    page.keyboard.insert_text(" 恐")
    expect(page.locator("#type-unknown")).to_have_text("Unknown to the model: 恐")


@pytest.mark.parametrize(
    ("locale", "title"),
    [("en-US", "Several tokens ahead, the most probable first:"), ("zh-CN", "往后几步，概率最高的在前：")],
)
def test_several_tokens_ahead_are_shown_and_appended_by_a_click(visit, expect, locale, title):
    page = visit(locale=locale).open()
    field, ahead = page.locator("#type-text"), page.locator("#type-ahead .token")
    field.focus()
    page.keyboard.insert_text("我 昨天 上")
    expect(page.locator("#type-ahead-title")).to_have_text(title)
    expect(ahead.first).to_have_text("上学 迟到 了 。F2")
    expect(ahead).to_have_count(3)
    page.locator("#type-ahead button").first.click()
    expect(field).to_have_value("我 昨天 上学 迟到 了 。")
    expect(field).to_be_focused()
    expect(ahead.first).to_have_text("↵F2")
    page.keyboard.press("Control+z")
    expect(field).to_have_value("我 昨天 上")


def test_each_continuation_has_a_function_key(visit, expect):
    page = visit().open()
    field, ahead = page.locator("#type-text"), page.locator("#type-ahead li")
    field.focus()
    page.keyboard.insert_text("我 昨天")
    expect(ahead.locator("kbd")).to_have_text(["F2", "F4", "F8"])
    shown = [each.removesuffix("F4") for each in ahead.locator(".token").all_text_contents()]
    page.keyboard.press("F4")
    expect(field).to_have_value(f"我 昨天 {shown[1]}".replace("↵", "\n"))
    page.keyboard.press("Control+z")
    expect(field).to_have_value("我 昨天")
    expect(ahead.first).to_contain_text("F2")
    page.keyboard.press("F2")
    expect(field).to_have_value("我 昨天 上学 迟到 了 。")


def test_bars_use_the_width_and_tiny_probabilities_are_left_out(visit, expect):
    page = visit().open()
    shares = [0.02, 0.01, 0.005, 0.00009, 0.00001]
    candidates = [
        {"token": f"t{place}", "probability": each, "text": "x", "typed": ""} for place, each in enumerate(shares)
    ]
    page.route("**/api/predict", lambda route: route.fulfill(json={"unknown": [], "candidates": candidates}))
    page.fill("#type-text", "x")
    expect(page.locator("#type-candidates .token")).to_have_text(["t0Tab", "t1", "t2"])
    widths = page.locator("#type-candidates .bar").evaluate_all("bars => bars.map(each => each.clientWidth)")
    track = page.locator("#type-candidates .track").first.evaluate("each => each.clientWidth")
    assert track > 400
    assert widths == pytest.approx([track, track / 2, track / 4], abs=1)
    assert "< 0.01" not in page.locator("#type-candidates").inner_text()
    boxes = [page.locator(f"#type-candidates li:first-child .{part}").bounding_box() for part in ("percent", "track")]
    assert boxes[0]["x"] < boxes[1]["x"]  # the figure is beside the word
    candidates[:] = [{"token": "t", "probability": 0.00001, "text": "x", "typed": ""}]
    page.fill("#type-text", "y")
    expect(page.locator("#type-candidates .percent")).to_have_text(["< 0.01\u00a0%"])  # the best is always shown


def test_a_touch_screen_gets_its_own_hints_and_needs_no_scrolling(visit, expect):
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True).open()
    page.fill("#type-text", "我 昨天")
    expect(page.locator("#type-ahead li")).to_have_count(3)
    expect(page.locator("#type-hint")).to_have_text("Touch what is to be taken.")
    expect(page.locator("kbd").first).to_be_hidden()
    bottom = page.locator("#type-ahead li").last.bounding_box()
    assert bottom["y"] + bottom["height"] <= 844
    page.tap("#tab-surprise")
    expect(page.locator("#surprise-painting .details")).to_contain_text("Touch a token")
    box = page.locator("#surprise-painting .tokens").bounding_box()
    assert box["y"] + box["height"] <= 844
    page.tap("#tab-sample")
    box = page.locator("#sample-start").bounding_box()
    assert box["y"] + box["height"] <= 844


def test_a_character_model_offers_whole_words_and_characters_ahead(visit, expect):
    page = visit().open(model=1)
    page.focus("#type-text")
    page.keyboard.insert_text("th")
    tokens = bars(page)
    assert any(token.startswith("th") and len(token) > 2 for token in tokens)
    expect(page.locator("#type-ahead .token")).to_have_count(3)


# --- surprise -----------------------------------------------------------------------------------------------------


def test_tokens_are_painted_by_surprise_and_show_their_alternatives(visit, expect):
    page = visit().open("surprise")
    text = "我 昨天 上学 放学 了 。\n恐龙 今天"
    page.fill("#surprise-text", text)
    tokens = page.locator("#surprise-painting [role=option]")
    expect(tokens.first).to_have_text("我")
    expect(page.locator("#surprise-figures")).to_contain_text(
        re.compile(r"Perplexity [\d,.]+ · [\d.]+ bits per character")
    )
    assert page.locator("#surprise-painting .tokens").inner_text().replace("↵", "").split() == text.split()
    shares = [
        float(each) for each in tokens.evaluate_all("all => all.map(each => each.style.getPropertyValue('--share'))")
    ]
    assert shares[3] > 2 * shares[2]  # 放学 is not the expected word
    sizes = tokens.evaluate_all("all => all.map(each => getComputedStyle(each).backgroundSize)")
    assert len(set(sizes)) > 3  # the thickness of the line shows it as well
    details = page.locator("#surprise-painting .details")
    tokens.nth(3).hover()
    expect(details.locator(".subject")).to_have_text("放学")
    expect(details.locator("li .token").first).to_have_text("迟到")
    tokens.first.focus()
    page.keyboard.press("End")
    expect(details.locator(".subject")).to_have_text("↵")  # the end of the line is a token
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(details.locator(".subject")).to_have_text("恐龙")
    expect(details).to_contain_text("Unknown to the model")
    focused = page.locator(":focus")
    assert re.match(r"恐龙: [\d.]+ bits, rank \d+", focused.get_attribute("aria-label"))
    expect(page.locator("#" + focused.get_attribute("aria-describedby"))).to_contain_text("Expected here")
    page.keyboard.press("ArrowUp")
    expect(details.locator(".subject")).to_have_text("我")
    tokens.nth(2).click()
    expect(details.locator(".subject")).to_have_text("上学")


def test_figures_agree_with_score(visit, expect, models, capsys):
    """Perplexity, the number of tokens with the line's end, and the number of unknown ones."""
    opened = visit()
    page = opened.open("surprise")
    for text, said in [
        ("我 昨天 上学", "4 tokens"), ("我 昨天\n他 恐龙", "6 tokens, 1 unknown"), ("我\n", "2 tokens"),
    ]:  # fmt: skip
        assert run(["score", "--text", text, "-m", str(models[0])]) == 0
        summary = capsys.readouterr().err
        tokens, oov = re.search(r"([\d,]+) tokens .* ([\d,]+) unknown", summary).groups()
        perplexity, bits = (
            float(re.search(rf"^{key} +([\d.]+)", summary, re.M)[1]) for key in ["ppl", "bits per char"]
        )
        page.fill("#surprise-text", text)
        expect(page.locator("#surprise-figures")).to_have_text(
            f"Perplexity {perplexity:,.1f} · {bits:.2f} bits per character · {said}"
        )
        assert said == f"{tokens} tokens" + (f", {oov} unknown" if oov != "0" else "")
        expect(page.locator("#surprise-painting [role=option]")).to_have_count(int(tokens))
    page.select_option("#model", index=1)
    page.fill("#surprise-text", "\n")
    expect(page.locator("#surprise-figures")).to_be_hidden()


def test_the_colour_scale_extends_beyond_the_most_surprising_token(visit, expect):
    """In any text, a token with more surprise is painted more strongly."""
    page = visit().open("surprise", model=2)
    page.route("**/api/surprise", lambda route: route.fulfill(json=hard(bits=[1.0, 13.0, 21.5, 30.1])))
    page.fill("#surprise-text", "a b c d")
    steps = page.locator("#surprise-painting .legend .sample-of")
    expect(steps).to_have_text(["0", "8", "16", "24", "32"])
    shares = page.locator("#surprise-painting [role=option]").evaluate_all(
        "all => all.map(each => Number(each.style.getPropertyValue('--share')))"
    )
    assert shares == pytest.approx([bits / 32 for bits in (1.0, 13.0, 21.5, 30.1)])
    expect(page.locator("#surprise-curve svg")).to_have_attribute(
        "aria-label", "Surprise along the text: 16.4 bits on average, most at d, 30.1 bits"
    )
    expect(page.locator("#surprise-curve .axis span")).to_have_text(["32", "16", "0"])
    page.unroute("**/api/surprise")
    page.route("**/api/surprise", lambda route: route.fulfill(json=hard(bits=[1.0, 2.0])))
    page.fill("#surprise-text", "a b")
    expect(steps).to_have_text(["0", "3", "6", "9", "12"])  # an easy text does not use the whole scale


def hard(bits: list[float]) -> dict:
    """Return an answer about tokens a, b, c... with the given bits and the ranks 1, 10, 100, ..."""
    tokens = [
        {"text": " " * (place > 0) + chr(97 + place), "token": chr(97 + place), "probability": 0.5**each, "bits": each}
        | {"rank": 10**place, "unknown": False, "alternatives": []}
        for place, each in enumerate(bits)
    ]
    figures = {"oov": 0, "logprob_nats": -sum(bits) * math.log(2), "perplexity": 2.0, "bits_per_char": 1.0}
    return {"tokens": tokens, **figures, "perplexity_excluding_oov": 2.0, "nats_per_token": 1.0}


def test_a_curve_shows_the_surprise_along_the_text_and_ranks_are_counted(visit, expect):
    page = visit().open("surprise")
    text = "我 昨天 上学 放学 。 恐龙"
    page.fill("#surprise-text", text)
    tokens = page.locator("#surprise-painting [role=option]")
    expect(tokens).to_have_count(7)
    curve = page.locator("#surprise-curve svg")
    curve.scroll_into_view_if_needed()
    box = curve.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 3.5 / 7, box["y"] + 10)  # the fourth token
    expect(page.locator("#surprise-painting .details .subject")).to_have_text("放学")
    page.mouse.click(box["x"] + box["width"] * 5.5 / 7, box["y"] + 10)
    expect(tokens.nth(5)).to_be_focused()
    marked = page.locator("#surprise-curve .marked")
    assert float(marked.get_attribute("x")) == pytest.approx(5 / 7 * 1000)
    page.keyboard.press("ArrowLeft")
    assert float(marked.get_attribute("x")) == pytest.approx(4 / 7 * 1000)
    expect(page.locator("#surprise-ranks .token")).to_have_text(
        ["first", "2 to 10", "11 to 100", "101 to 1,000", "1,001 and lower"]
    )
    numbers = [int(each) for each in page.locator("#surprise-ranks .percent").all_text_contents()]
    assert sum(numbers) == 7
    assert numbers[0] >= 2
    page.fill("#surprise-text", "")
    expect(page.locator("#surprise-more")).to_be_hidden()


def test_the_score_below_agrees_with_the_model(visit, expect, models):
    page = visit().open("surprise")
    scored = LanguageModel.load(models[0]).score("我 昨天 放学 恐龙")
    page.fill("#surprise-text", "我 昨天 放学 恐龙")
    nats = scored.logprob_nats
    numbers = [nats, nats / math.log(10), nats / math.log(2)]
    said = " · ".join(f"{name} p = −{-each:.2f}" for name, each in zip(["ln", "log₁₀", "log₂"], numbers, strict=True))
    expect(page.locator("#surprise-score")).to_contain_text(said)
    expect(page.locator("#surprise-score")).to_contain_text("perplexity without the unknown")


def test_borders_between_words_without_a_space_are_drawn(visit, expect):
    page = visit().open("surprise")
    for text, joined in [("我昨天上学。", ["昨天", "上学"]), ("我 昨天 上学 。", [])]:
        page.fill("#surprise-text", text)
        expect(page.locator("#surprise-painting [role=option]")).to_have_text(["我", "昨天", "上学", "。", "↵"])
        expect(page.locator("#surprise-painting .joined")).to_have_text(joined)
    page.fill("#surprise-text", "我昨天")
    expect(page.locator("#surprise-painting .joined")).to_have_css("border-left-width", "1px")
    page.select_option("#model", index=1)  # for characters borders would tell nothing
    page.fill("#surprise-text", "the")
    expect(page.locator("#surprise-painting [role=option]")).to_have_text(["t", "h", "e", "↵"])
    expect(page.locator("#surprise-painting .joined")).to_have_count(0)


def test_parts_share_their_text_and_an_example_can_be_written(visit, expect):
    page = visit().open("surprise")
    page.click("#surprise-example")
    expect(page.locator("#surprise-painting [role=option]").first).to_be_visible()
    written = page.input_value("#surprise-text")
    assert written.strip()
    page.click("#tab-type")
    assert page.input_value("#type-text") == written
    page.fill("#type-text", "")
    page.click("#tab-surprise")
    expect(page.locator("#surprise-painting")).to_be_empty()
    expect(page.locator("#surprise-figures")).to_be_hidden()


# --- sample -------------------------------------------------------------------------------------------------------


@pytest.fixture
def slow():
    """Make the data that a page receives trickle in."""

    def slow_down(opened: Visit, bytes_per_second: int) -> None:
        network = opened.context.new_cdp_session(opened.page)
        network.send("Network.enable")
        limits = {"offline": False, "latency": 0, "downloadThroughput": bytes_per_second, "uploadThroughput": -1}
        network.send("Network.emulateNetworkConditions", limits)

    return slow_down


def test_a_sample_is_streamed_and_can_be_stopped(visit, expect, slow):
    opened = visit()
    page = opened.open("sample", model=1)
    slow(opened, 16_000)
    page.fill("#sample-prompt", "The ")
    page.fill("#sample-seed", "1")
    page.evaluate("document.getElementById('length').value = 500")
    page.click("#sample-start")
    written = page.locator("#sample-written")
    expect(written).to_have_text(re.compile(".", re.DOTALL))
    some = len(written.text_content())
    expect(written).to_have_text(re.compile(f".{{{some + 1}}}", re.DOTALL))
    expect(page.locator("#sample-state")).to_have_text("Writing …")
    expect(page.locator("#sample-stop")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#sample-state")).to_have_text(re.compile("Stopped: .* characters."))
    expect(page.locator("#sample-start")).to_be_focused()
    stopped = written.text_content()
    assert len(stopped) < 500
    page.wait_for_timeout(300)
    assert written.text_content() == stopped
    assert page.locator("#sample-given").text_content() == "The "


def test_values_of_sliders_are_sent_and_sampling_finishes(visit, expect):
    opened = visit()
    page = opened.open("sample")
    page.fill("#sample-prompt", "我 昨天")
    page.focus("#temperature")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.focus("#top-k")
    page.keyboard.press("ArrowRight")
    page.focus("#top-p")
    page.keyboard.press("ArrowLeft")
    page.focus("#length")
    page.keyboard.press("Home")
    assert page.locator("output").all_text_contents() == ["0.05", "1", "0.95", "10"]
    page.focus("#sample-prompt")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#sample-state")).to_have_text(re.compile("Finished"))
    assert page.locator("#sample-output .written").text_content() == "我 昨天 上学 迟到 了 。"
    (asked,) = opened.asked("/v1/completions")
    expected = {"prompt": "我 昨天", "temperature": 0.05, "top_k": 1, "top_p": 0.95, "max_tokens": 10, "stream": True}
    assert expected.items() <= asked.items()


# --- rank and fill ------------------------------------------------------------------------------------------------


def written(page) -> list[str]:
    """Return the written texts when they are complete."""
    page.wait_for_selector("#sample-start:enabled")
    return page.locator("#sample-output .written").all_text_contents()


def test_a_seed_repeats_several_texts(visit, expect):
    opened = visit()
    page = opened.open("sample", model=1)
    page.fill("#sample-prompt", "The ")
    page.fill("#sample-seed", "7")
    page.fill("#sample-count", "3")
    page.click("#sample-start")
    expect(page.locator("#sample-state")).to_have_text(re.compile("Finished"))
    first = written(page)
    assert len(set(first)) == 3  # they differ
    assert all(text.startswith("The ") for text in first)
    expect(page.locator("#sample-start")).to_have_text("Write another")
    page.click("#sample-start")
    expect(page.locator("#sample-state")).to_have_text(re.compile("Finished"))
    assert written(page) == first
    page.fill("#sample-seed", "")  # a random seed is drawn and shown
    page.fill("#sample-count", "1")
    page.click("#sample-start")
    expect(page.locator("#sample-state")).to_have_text(re.compile("Finished"))
    drawn = written(page)
    assert drawn != first[:1]
    seed = re.search(r"Seed (\d+)", page.locator("#sample-seed-used").text_content())[1]
    page.fill("#sample-seed", seed)
    page.click("#sample-start")
    expect(page.locator("#sample-state")).to_have_text(re.compile("Finished"))
    assert written(page) == drawn
    seeds = [body["seed"] for body in opened.asked("/v1/completions")]
    assert seeds[:2] == [7, 7]
    assert seeds[2] == seeds[3] == int(seed)


def test_written_text_can_be_coloured_by_probability(visit, expect):
    opened = visit()
    page = opened.open("sample")
    page.fill("#sample-prompt", "我 昨天")
    page.fill("#sample-seed", "1")
    page.click("#sample-start")
    expect(page.locator("#sample-state")).to_have_text(re.compile("Finished"))
    tokens = page.locator("#sample-written .drawn")
    plain = tokens.first.evaluate("each => getComputedStyle(each).backgroundImage")
    assert plain == "none"
    page.check("#sample-colour")
    assert tokens.first.evaluate("each => getComputedStyle(each).backgroundImage") != "none"
    whole = page.locator("#sample-output .written").text_content()
    page.click("#tab-surprise")
    page.fill("#surprise-text", whole)  # compare with its surprise there
    bits = page.locator("#surprise-painting [role=option]")
    expect(bits.last).to_have_text("↵")
    told = [float(re.search(r"([\d.]+) bits", each)[1]) for each in bits.evaluate_all("a => a.map(e => e.ariaLabel)")]
    shares = tokens.evaluate_all("all => all.map(each => Number(each.style.getPropertyValue('--share')))")
    assert len(shares) > 2
    assert [12 * share for share in shares] == pytest.approx(told[2 : 2 + len(shares)], abs=0.06)


def test_a_text_can_be_sent_from_write_to_surprise_and_back(visit, expect):
    opened = visit()
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = opened.open("sample", model=1)
    page.fill("#sample-prompt", "The ")
    page.fill("#sample-seed", "1")
    page.evaluate("document.getElementById('length').value = 20")
    page.click("#sample-start")
    expect(page.locator("#sample-state")).to_have_text(re.compile("Finished"))
    whole = written(page)[0]
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == whole
    page.get_by_role("button", name="To Surprise").click()
    expect(page.locator("#tab-surprise")).to_be_focused()
    expect(page.locator("#surprise-text")).to_have_value(whole)
    page.click("#surprise-write")
    expect(page.locator("#tab-sample")).to_be_focused()
    expect(page.locator("#sample-prompt")).to_have_value(whole)
    page.get_by_role("button", name="Write on", exact=True).click()
    expect(page.locator("#sample-state")).to_have_text(re.compile("Finished"))
    longer = written(page)[0]
    assert longer.startswith(whole)
    assert len(longer) > len(whole)
    for part in ("type", "neurons"):
        page.click(f"#tab-{part}")
        expect(page.locator(f"#{part}-text")).to_have_value(whole)


def test_candidates_are_ranked(visit, expect):
    page = visit().open("rank")
    page.fill("#rank-lines", "我 昨天 上学 早 了 。\n\n我 昨天 上学 迟到 了 。\n恐龙")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#rank-state")).to_have_text("3 candidates ranked")
    assert bars(page, "rank")[0] == "我 昨天 上学 迟到 了 。"
    expect(page.locator("#rank-candidates li").last).to_contain_text(
        "1 unknown" if bars(page, "rank")[2] == "恐龙" else "ln p"
    )
    page.fill("#rank-lines", "  ")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#rank-state")).to_have_text("Write at least one candidate.")
    expect(page.locator("#rank-candidates li")).to_have_count(0)


def test_the_ranking_agrees_with_rescore(visit, expect, models, tmp_path, capsys):
    lines = ["我 恐龙", "我 昨天 上学 早 了 。", "恐龙 恐龙", "我 昨天 上学 迟到 了 。", "他 明天"]
    file = tmp_path / "list.txt"
    file.write_text("\n".join(lines), encoding="utf-8")
    page = visit().open("rank")
    for number in (0, 4):
        page.select_option("#model", index=number)
        assert run(["rescore", str(file), "-m", str(models[number]), "--json"]) == 0
        ranked = json.loads(capsys.readouterr().out)["candidates"]
        page.fill("#rank-lines", "\n".join(lines))
        page.keyboard.press("Control+Enter")
        expect(page.locator("#rank-state")).to_have_text("5 candidates ranked")
        assert bars(page, "rank") == [each["text"] for each in ranked]
        details = page.locator("#rank-candidates .detail").all_text_contents()
        for each, detail in zip(ranked, details, strict=True):
            assert detail.startswith(f"ln p = −{-each['logprob_nats']:.2f} · ")
            assert ("unknown" in detail) == ("恐龙" in each["text"])


def test_counts_of_one_are_in_the_singular(visit, expect):
    opened = visit()
    page = opened.open("rank")
    page.fill("#rank-lines", "")
    page.select_option("#model", index=0)
    candidate = {"text": "a", "share": 1, "logprob_nats": -1, "total_nats": -1, "tokens": 1, "oov": 0}
    token = {"text": "a", "token": "a", "bits": 1, "probability": 0.5, "rank": 1, "unknown": False, "alternatives": []}
    answers = {
        "rank": {"candidates": [candidate]},
        "fill": {"text": "____ a", "candidates": [{"tokens": ["b"], "probability": 1, "text": "b a"}]},
        "surprise": {"tokens": [token], "perplexity": 2, "bits_per_char": 1, "oov": 0},
    }
    page.route("**/api/*", lambda route: route.fulfill(json=answers[route.request.url.rpartition("/")[2]]))
    page.fill("#rank-lines", "a")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#rank-state")).to_have_text("1 candidate ranked")
    expect(page.locator("#rank-candidates .detail")).to_have_text("ln p = −1.00 · 1 token")
    page.click("#tab-fill")
    page.fill("#fill-text", "____ a")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#fill-state")).to_have_text("1 filling")
    page.click("#tab-surprise")
    page.fill("#surprise-text", "a")
    expect(page.locator("#surprise-figures")).to_have_text("Perplexity 2.0 · 1.00 bits per character · 1 token")
    page.click("#language")
    expect(page.locator("#surprise-figures")).to_have_text("困惑度 2.0 · 每字符 1.00 比特 · 1 个词元")


def test_blanks_are_filled(visit, expect):
    page = visit().open("fill")
    page.fill("#fill-text", "我 昨天  迟到 了 。")
    page.click("#fill-form button[type=submit]")
    expect(page.locator("#fill-state")).to_have_text(re.compile("There is no blank"))
    page.focus("#fill-text")
    page.keyboard.press("Home")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.click("#fill-blank")
    assert page.input_value("#fill-text") == "我 昨天 ____ 迟到 了 。"
    page.keyboard.press("Control+Enter")
    expect(page.locator("#fill-candidates mark").first).to_have_text("上学")
    assert bars(page, "fill")[0] == "我 昨天 上学 迟到 了 。"


def test_a_blank_of_several_characters_is_filled(visit, expect, models):
    opened = visit()
    page = opened.open("fill", model=1)
    page.fill("#fill-text", "the ____ is")
    expect(page.locator("#fill-unit")).to_have_text("Characters for a blank, at most")
    page.fill("#fill-tokens", "3")
    page.click("#fill-form button[type=submit]")
    expect(page.locator("#fill-candidates li")).to_have_count(10)
    (asked,) = opened.asked("/api/fill")
    assert asked["blank_tokens"] == 3
    filled = page.locator("#fill-candidates mark").all_text_contents()
    expected = LanguageModel.load(models[1]).fill("the ____ is", 10, blank_tokens=3)
    assert filled == [each.tokens[0] for each in expected]
    page.select_option("#model", index=0)
    expect(page.locator("#fill-unit")).to_have_text("Words for a blank, at most")


# --- neurons ------------------------------------------------------------------------------------------------------


def test_activations_are_painted_and_found_units_can_be_selected(visit, expect):
    page = visit().open("neurons", model=1)
    page.fill("#neurons-text", 'The "Thin" "short" sun is in "it".\nTen tunes and a "hat".' * 3)
    tokens = page.locator("#neurons-painting [role=option]")
    expect(tokens.first).to_have_text("T")
    chips = page.locator("#neurons-found button")
    expect(chips.first).to_be_visible()
    expect(page.locator("#neurons-found button[aria-pressed=true]").first).to_be_visible()
    page.fill("#neurons-layer", "2")
    page.fill("#neurons-unit", "7")
    expect(page.locator("#neurons-figures")).to_have_text(re.compile("^Layer 2, unit 7: from [−+]"))
    tokens.first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#neurons-painting .details .subject")).to_have_text("h")
    expect(page.locator("#neurons-painting .details")).to_contain_text(re.compile(r"Activation [−+][01]\.\d\d"))
    signs = tokens.evaluate_all("all => new Set(all.map(each => getComputedStyle(each).backgroundPosition)).size")
    assert signs == 2  # the line above or below shows the sign without colour
    chips.last.click()
    expect(chips.last).to_have_attribute("aria-pressed", "true")
    layer, unit = chips.last.get_attribute("data-layer"), chips.last.get_attribute("data-unit")
    expect(page.locator("#neurons-figures")).to_contain_text(f"Layer {int(layer) + 1}, unit {unit}")


def test_all_units_are_shown_and_those_for_a_selection_are_found(visit, expect, models):
    """Figures of the search are means of the network's activations, and its best unit is the best of all."""
    page = visit().open("neurons", model=1)
    expect(page.locator("#neurons-empty")).to_be_visible()
    text = 'The "thin" hat is in the hut, and it is on.\nThe sun is in it.'
    page.fill("#neurons-text", text)
    expect(page.locator("#neurons-map canvas")).to_have_attribute("width", str(len(text)))
    expect(page.locator("#neurons-map canvas")).to_have_attribute("height", "12")
    expect(page.locator("#neurons-empty")).to_be_hidden()
    page.click("#neurons-search")
    expect(page.locator("#neurons-search-title")).to_contain_text("Nothing is selected")
    page.focus("#neurons-text")
    page.evaluate("document.getElementById('neurons-text').setSelectionRange(5, 9)")
    page.click("#neurons-search")
    expect(page.locator("#neurons-search-title")).to_contain_text("thin")
    served = ServedModel("m", LanguageModel.load(models[1]))
    values = finished(activations(served, served.ids(text)))
    difference = values[5:9].mean(axis=0) - np.delete(values, slice(5, 9), axis=0).mean(axis=0)
    layer, unit = np.unravel_index(difference.argmax(), difference.shape)
    best = page.locator("#neurons-search-found button").first
    expect(best).to_contain_text(f"layer {layer + 1}, unit {unit}")
    expect(best).to_contain_text(f"{values[5:9, layer, unit].mean():+.2f}".replace("-", "−"))
    best.click()
    expect(page.locator("#neurons-figures")).to_contain_text(f"Layer {layer + 1}, unit {unit}")
    expect(page.locator("#neurons-contexts-title")).to_contain_text(f"layer {layer + 1}, unit {unit}")
    highest = page.locator("#neurons-contexts li").first
    place = int(values[:, layer, unit].argmax())
    expect(highest.locator(".percent")).to_have_text(f"{values[place, layer, unit]:+.2f}".replace("-", "−"))
    box = page.locator("#neurons-map canvas").bounding_box()
    page.mouse.click(box["x"] + 5, box["y"] + box["height"] * 3.5 / 12)  # the fourth row
    expect(page.locator("#neurons-figures")).to_contain_text(f"Layer {layer + 1}, unit 3")


@pytest.mark.parametrize(
    ("locale", "sentence"),
    [
        ("en-US", "There is no such unit: layers are numbered 1 to 2, units 0 to 11."),
        ("zh-CN", "没有这个单元：层的编号从 1 到 2，单元的编号从 0 到 11。"),
    ],
)
def test_an_invalid_unit_is_reported_beside_its_number(visit, expect, locale, sentence):
    page = visit(locale=locale).open("neurons", model=1)
    page.fill("#neurons-text", "The thin hat is in the hut. " * 3)
    tokens = page.locator("#neurons-painting [role=option]")
    wrong = page.locator("#neurons-wrong")
    expect(tokens.first).to_be_visible()
    expect(wrong).to_be_hidden()
    for field, number in [("unit", "12"), ("unit", "-1"), ("unit", "1.5"), ("unit", ""), ("layer", "3")]:
        page.fill(f"#neurons-{field}", number)
        expect(wrong).to_have_text(sentence)
        expect(page.locator(f"#neurons-{field}")).to_have_attribute("aria-invalid", "true")
        expect(tokens).to_have_count(0)
        expect(page.locator("#neurons-figures")).to_be_hidden()
        expect(page.locator("#notice")).to_be_hidden()
        page.fill("#neurons-text", f"The thin hat {field} {number}" * 3)  # the number stays and is still invalid
        page.wait_for_timeout(400)
        expect(wrong).to_have_text(sentence)
        assert page.input_value(f"#neurons-{field}") == number
        page.fill(f"#neurons-{field}", "1")
        expect(wrong).to_be_hidden()
        expect(page.locator(f"#neurons-{field}")).to_have_attribute("aria-invalid", "false")
        expect(tokens.first).to_be_visible()
    page.fill("#neurons-layer", "7")
    page.select_option("#model", index=0)  # the other model has other units
    expect(wrong).to_be_hidden()
    expect(tokens.first).to_be_visible()


# --- models -------------------------------------------------------------------------------------------------------


def test_hostile_tokens_are_shown_as_text(visit, expect, models):
    page = visit().open(model=2)
    assert page.locator("#model option").nth(2).text_content() == models[2].stem
    assert bars(page)[0] == HOSTILE
    page.keyboard.press("Tab")
    page.locator("#type-candidates button").first.click()
    expect(page.locator("#type-text")).to_have_value(HOSTILE)
    page.click("#tab-surprise")
    page.fill("#surprise-text", f"word {HOSTILE} word")
    page.locator("#surprise-painting [role=option]").first.hover()
    expect(page.locator("#surprise-painting .details")).to_contain_text(HOSTILE)
    page.click("#tab-sample")
    page.fill("#sample-seed", "1")  # with one seed in twenty the model writes nothing
    page.click("#sample-start")
    expect(page.locator("#sample-state")).to_have_text(re.compile("Finished"))
    expect(page.locator("#sample-written")).to_contain_text("<img")
    page.click("#tab-rank")
    page.fill("#rank-lines", HOSTILE)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#rank-candidates .token")).to_have_text(HOSTILE)
    page.click("#tab-fill")
    page.fill("#fill-text", "____ word")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#fill-candidates")).to_contain_text("<img")
    page.click("#tab-neurons")
    page.fill("#neurons-text", f"word {HOSTILE}")
    expect(page.locator("#neurons-painting")).to_contain_text("<img")
    assert page.evaluate("document.images.length + document.querySelectorAll('main script').length") == 0
    assert page.evaluate("window.injected") is None


def test_the_page_never_interprets_strings_as_html_or_code():
    for path in STATIC.iterdir():
        source = path.read_text(encoding="utf-8")
        for banned in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "DOMParser",
        ):
            assert banned not in source, f"{path.name}: {banned}"
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", source), path.name
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\s(style|on\w+)=", page)  # both are forbidden by the content security policy
    assert not re.search(r"<script(?![^>]*\ssrc=)", page)


def test_a_bidirectional_model_shows_only_its_parts(visit, expect):
    page = visit().open(model=3)
    shown = page.locator("[role=tab]:visible").all_text_contents()
    assert shown == ["Fill", "Neurons"]
    expect(page.locator("#abilities")).to_contain_text("both directions")
    page.fill("#fill-text", "我 ____ 上学 。")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#fill-candidates li")).to_have_count(4)
    page.focus("#tab-fill")
    page.keyboard.press("ArrowLeft")
    page.fill("#neurons-text", "我 昨天 上学 。")
    expect(page.locator("#neurons-painting [role=option]")).to_have_count(4)
    expect(page.locator("#neurons-example")).to_be_hidden()
    page.select_option("#model", index=4)
    assert page.locator("[role=tab]:visible").all_text_contents() == ["Type", "Surprise", "Write", "Rank", "Fill"]
    expect(page.locator("#abilities")).to_contain_text("n-gram")
    page.select_option("#model", index=0)
    assert page.locator("[role=tab]:visible").count() == len(PARTS)
    expect(page.locator("#abilities")).to_be_hidden()


# --- accessibility, languages and themes --------------------------------------------------------------------------


def press_until(page, key: str, selector: str, most: int = 25) -> None:
    """Press a key until an element has the focus."""
    for _ in range(most):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press(key)
    pytest.fail(f"{key} does not lead to {selector}")


def test_everything_can_be_reached_by_keyboard(visit, expect):
    page = visit().open()
    for control in ("#model", "#second", "#language", "#theme", "#tab-type", "#type-text"):
        press_until(page, "Tab", control, 2)
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", control
    page.keyboard.type("我 昨天")
    bars(page)
    page.keyboard.press("Tab")
    expect(page.locator("#type-text")).to_have_value("我 昨天 上学")
    press_until(page, "Shift+Tab", "#tab-type")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tab-surprise")).to_be_focused()
    expect(page.locator("#surprise-painting [role=option]")).to_have_count(4)
    press_until(page, "Tab", "[role=option]")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#surprise-painting .subject")).to_have_text("昨天")
    for part, control in (("sample", "#sample-start"), ("rank", "#rank-form button"), ("fill", "#fill-form button")):
        press_until(page, "Shift+Tab", "[role=tab]")
        page.keyboard.press("ArrowRight")
        expect(page.locator(f"#tab-{part}")).to_be_focused()
        page.keyboard.press("Tab")
        page.keyboard.press("Control+a")
        page.keyboard.type("我 ____ 上学 。")
        press_until(page, "Tab", control)
        page.keyboard.press("Enter")
        expect(page.locator(f"#{part}-state")).to_have_text(re.compile("Finished|ranked|fillings"))
    press_until(page, "Shift+Tab", "[role=tab]")
    page.keyboard.press("End")
    expect(page.locator("#tab-neurons")).to_be_focused()
    expect(page.locator("#neurons-painting [role=option]")).to_have_count(4)
    press_until(page, "Tab", "#neurons-unit")
    before = int(page.input_value("#neurons-unit"))
    page.keyboard.press("ArrowUp" if before == 0 else "ArrowDown")
    expect(page.locator("#neurons-figures")).to_contain_text(f"unit {before - 1 if before else 1}:")
    press_until(page, "Tab", "[role=option]")
    expect(page.locator("#neurons-painting .subject")).to_have_text("我")
    press_until(page, "Tab", "#neurons-search")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement === document.body || document.activeElement.matches('header *')")


CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1), draw = canvas.getContext("2d", { willReadFrequently: true });
  const paint = (colours) => {
    draw.clearRect(0, 0, 1, 1);
    for (const colour of colours) { draw.fillStyle = colour; draw.fillRect(0, 0, 1, 1); }
    return [...draw.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  };
  const luminance = ([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b;
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).join("");
    const text = element.matches("input, textarea") ? element.value : own;
    if (!text.trim() || !element.checkVisibility({ visibilityProperty: true }) || element.disabled) continue;
    if (element.closest(".hidden, noscript, option")) continue;
    const behind = [];
    for (let each = element; each; each = each.parentElement) behind.unshift(getComputedStyle(each).backgroundColor);
    const back = luminance(paint(behind)), front = luminance(paint([...behind, getComputedStyle(element).color]));
    const ratio = (Math.max(back, front) + 0.05) / (Math.min(back, front) + 0.05);
    if (ratio < 4.5) found.push(`${element.tagName} ${element.className} ${text.slice(0, 20)}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""


@pytest.mark.parametrize(("theme", "locale"), [("light", "en-US"), ("dark", "zh-CN")])
def test_every_part_fits_a_phone_in_both_themes_and_languages(visit, expect, theme, locale):
    opened = visit(color_scheme=theme, locale=locale, viewport={"width": 360, "height": 640}, has_touch=True)
    page = opened.open()
    background = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) > 600) == (theme == "light")
    assert page.evaluate("document.documentElement.lang") == ("zh-Hans" if locale == "zh-CN" else "en")
    text = "我 昨天 上学 迟到 了 。 " + "恐龙" * 40
    texts = {"type": text, "rank": f"{text}\n{'x' * 200}", "fill": f"{text} ____"}
    for part in PARTS:
        page.tap(f"#tab-{part}")
        if part in texts:
            page.fill(f"#part-{part} textarea", texts[part])
        if submit := page.query_selector(f"#part-{part} button[type=submit]"):
            submit.tap()
        result = {"type": "#type-candidates li", "sample": "#sample-output", "surprise": "[role=option]"}
        shown = page.locator(f"#part-{part}").locator(result.get(part, f"#{part}-candidates li, [role=option]"))
        expect(shown.first).to_be_visible()
        if part in ("surprise", "neurons"):
            shown.first.tap()
            expect(page.locator(f"#{part}-painting .subject")).to_have_text("我")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, part
        assert page.evaluate(CONTRAST) == [], part
        expect(page.locator("#notice")).to_be_hidden()
        words = page.locator(f"#part-{part}").inner_text() + page.locator("header").inner_text()
        assert ("undefined" in words or "{" in words) is False, part
        tree = opened.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
        roles = {
            "button",
            "textbox",
            "combobox",
            "slider",
            "spinbutton",
            "tab",
            "tabpanel",
            "listbox",
            "option",
            "list",
        }
        nameless = [n for n in tree if n.get("role", {}).get("value") in roles and not n.get("name", {}).get("value")]
        assert [n["role"]["value"] for n in nameless if not n["ignored"]] in ([], ["list"]), part


def test_language_and_theme_can_be_switched_and_are_remembered(visit, expect):
    opened = visit(color_scheme="light")
    page = opened.open()
    page.click("#language")
    expect(page.locator("#tab-surprise")).to_have_text("意外")
    expect(page.locator("#language")).to_have_text("English")
    expect(page.locator("#theme")).to_have_attribute("aria-pressed", "false")
    page.click("#theme")
    expect(page.locator("#theme")).to_have_attribute("aria-pressed", "true")
    dark = "rgb(23, 24, 26)"
    expect(page.locator("html")).to_have_css("background-color", dark)
    page.reload()
    expect(page.locator("#tab-surprise")).to_have_text("意外")
    expect(page.locator("html")).to_have_css("background-color", dark)
    page.click("#language")
    expect(page.locator("#tab-surprise")).to_have_text("Surprise")


def test_both_languages_have_the_same_keys():
    source = (STATIC / "words.js").read_text(encoding="utf-8")
    english, chinese = (
        re.search(rf"const {name} = \{{\n(.*?)\n\}};", source, re.DOTALL)[1] for name in ("ENGLISH", "CHINESE")
    )
    key = re.compile(r'^  (?:"([^"]+)"|(\w+)):', re.MULTILINE)
    sets = [{a or b for a, b in key.findall(each)} for each in (english, chinese)]
    assert sets[0] == sets[1]
    assert len(sets[0]) > 100
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    named = set(re.findall(r'data-word[\w-]*="([^"]+)"', page))
    assert named <= sets[0]
    used = {
        found
        for path in STATIC.glob("*.js")
        for found in re.findall(r'words\("([^"]+)"', path.read_text(encoding="utf-8"))
    }
    assert used <= sets[0]


# --- errors -------------------------------------------------------------------------------------------------------


def test_an_error_is_shown_in_a_sentence_until_it_is_over(visit, expect):
    opened = visit()
    page = opened.open()
    notice = page.locator("#notice")
    page.route(
        "**/api/predict", lambda route: route.fulfill(status=503, json={"error": {"message": "full", "type": "x"}})
    )
    page.fill("#type-text", "我")
    expect(notice).to_have_text(re.compile("^The server is busy"))
    page.unroute("**/api/predict")
    message = "a <b>sentence</b> of the server."
    page.route(
        "**/api/predict",
        lambda route: route.fulfill(status=400, json={"error": {"message": message, "type": "x", "code": "y"}}),
    )
    page.fill("#type-text", "我 昨")
    expect(notice).to_have_text(message)
    page.click("#language")
    expect(notice).to_have_text("服务器拒绝了这个请求（状态 400，代码 y）。")
    page.click("#language")
    page.unroute("**/api/predict")
    page.route("**/api/predict", lambda route: route.fulfill(status=500, body="?"))
    page.fill("#type-text", "我 昨天 ")
    expect(notice).to_have_text(re.compile("status 500"))
    page.unroute("**/api/predict")
    page.fill("#type-text", "我 昨天")
    expect(notice).to_be_hidden()
    opened.context.set_offline(True)
    page.fill("#type-text", "我 昨天 上学")
    expect(notice).to_have_text(re.compile("^The server does not answer"))
    opened.context.set_offline(False)
    expect(notice).to_be_hidden()
    expect(page.locator("#type-candidates .token").first).to_have_text("迟到Tab")
    assert all("Failed to load resource" in each for each in opened.complaints)  # the browser's own message
    opened.complaints.clear()


def test_an_error_is_shown_in_its_part_only(visit, expect):
    opened = visit()
    page = opened.open("rank")
    notice = page.locator("#notice")
    page.fill("#rank-lines", "我\n" * 201)
    page.click("#rank-form button")
    expect(notice).to_have_text("There are 201 candidates; at most 200 are ranked at a time.")
    page.click("#tab-fill")
    expect(notice).to_be_hidden()
    page.click("#tab-type")
    bars(page)
    expect(notice).to_be_hidden()
    page.click("#tab-rank")
    expect(notice).to_contain_text("201 candidates")
    page.fill("#rank-lines", "我\n他")
    page.click("#rank-form button")
    expect(page.locator("#rank-state")).to_have_text("2 candidates ranked")
    expect(notice).to_be_hidden()
    page.fill("#rank-lines", "我" * 2001)
    page.click("#rank-form button")
    expect(notice).to_have_text("Candidate 1 has 2,001 characters; at most 2,000 are read.")
    page.select_option("#model", index=1)
    expect(notice).to_be_hidden()
    page.click("#tab-surprise")
    page.fill("#surprise-text", "a" * 20_001)
    expect(notice).to_have_text("The text has 20,001 characters; at most 20,000 are read.")
    page.fill("#surprise-text", "")
    expect(notice).to_be_hidden()
    opened.complaints.clear()


# Three English words in a row, at least one of them in lower case.
ENGLISH = re.compile(r"[A-Za-z]{2,}[,;:]? [a-z]{2,}[,;:]? [A-Za-z]{2,}")


def english_on(page) -> str | None:
    """Return English text that is visible on a page, or None."""
    found = ENGLISH.search(page.locator("body").inner_text())
    return found and found[0]


def codes() -> list[str]:
    """Return all codes of refusals in the server's source, and some that are not in it."""
    from rnnlm.playground.answers import CODES

    files = [*STATIC.parent.glob("*.py"), STATIC.parent.parent / "schema.py"]
    source = "".join(path.read_text(encoding="utf-8") for path in files)
    pairs = re.findall(r'code="(\w+)"(?: if .* else "(\w+)")?', source)
    others = {"foreign_host", "foreign_origin", "no_path", "wrong_method", "unheard"}
    return sorted({each for pair in pairs for each in pair if each} | set(CODES.values()) | others)


def test_no_refusal_is_shown_in_english_on_the_chinese_page(visit, expect):
    opened = visit(locale="zh-CN")
    page = opened.open()
    bars(page)
    answer = {}
    page.route("**/api/predict", lambda route: route.fulfill(**answer))
    page.evaluate("window.setTimeout = (action, wait, ...more) => queueMicrotask(() => action(...more))")  # no delays
    notice = page.locator("#notice")
    seen = set()
    details = {"count": 5, "most": 4, "least": 1, "seconds": 3, "layers": 1, "units": 2, "model": "m"}
    sentence = "The server says this in plain English."
    assert len(codes()) > 20
    cases = [(status, code) for status in (400, 503) for code in codes()]
    cases += [(status, code) for status in (401, 403, 404, 405, 408, 413, 415, 500) for code in ("unheard", None)]
    for number, (status, code) in enumerate(cases):
        error = {"message": sentence, "type": "x", "param": "text", "code": code, "details": details}
        answer |= {"status": status, "json": {"error": error}}
        page.evaluate("document.getElementById('notice').textContent = ''")  # the next text is the new answer's
        page.fill("#type-text", f"我 {number}")
        expect(notice).not_to_be_empty()
        said = notice.text_content()
        seen.add(said)
        assert re.search("[\u4e00-\u9fff]{4}", said), (status, code, said)
        assert not re.search(r"[{}]|undefined|NaN|null", said), (status, code, said)
        assert english_on(page) is None, (status, code)
    assert len(seen) > 15
    opened.complaints.clear()


STREAMED = {"message": "This took too long and was given up.", "type": "x", "param": None, "code": "timeout"}


@pytest.mark.parametrize("language", ["zh-CN", "en-US"])
def test_real_errors_are_shown_in_the_language_of_the_page(visit, expect, language):
    opened = visit(locale=language)
    page = opened.open()
    notice = page.locator("#notice")

    def check(english: str, chinese: str) -> None:
        expect(notice).to_have_text(chinese if language == "zh-CN" else english)
        if language == "zh-CN":
            assert english_on(page) is None

    def try_part(part: str, field: str, text: str) -> None:
        page.click(f"#tab-{part}")
        page.fill(f"#{field}", text)
        if submit := page.query_selector(f"#part-{part} button[type=submit]"):
            submit.click()

    long = ("The text has 20,001 characters; at most 20,000 are read.", "文字有 20,001 个字符，最多可读 20,000 个。")
    for part, field in [("type", "type-text"), ("surprise", "surprise-text"), ("neurons", "neurons-text")]:
        try_part(part, field, "a" * 20_001)
        check(*long)
        page.fill(f"#{field}", "")
    try_part("sample", "sample-prompt", "a" * 20_001)
    check(*long)
    try_part("rank", "rank-lines", "a\n" * 201)
    check("There are 201 candidates; at most 200 are ranked at a time.", "有 201 个候选，一次最多可排 200 个。")
    try_part("rank", "rank-lines", "a\n" + "a" * 2001)
    check(
        "Candidate 2 has 2,001 characters; at most 2,000 are read.", "第 2 个候选有 2,001 个字符，最多可读 2,000 个。"
    )
    try_part("fill", "fill-text", "____" + "a" * 997)
    check("The text has 1,001 characters; at most 1,000 are read.", "文字有 1,001 个字符，最多可读 1,000 个。")
    try_part("type", "type-text", "a" * (1 << 20))
    check("The text is too large to be sent. Give a shorter one.", "文字太大，无法发送，请缩短。")
    half = "e => { e.value = 'a' + String.fromCharCode(0xd800); e.dispatchEvent(new Event('input')); }"
    page.locator("#type-text").evaluate(half)
    check(
        "The text has half a character in it. Delete what looks like �, and write it again.",
        "文字里有半个字符。请删去显示为 � 的地方，重新输入。",
    )

    def ask_another(route) -> None:
        route.continue_(post_data=json.dumps(json.loads(route.request.post_data) | {"model": "old model"}))

    page.route("**/api/predict", ask_another)
    page.fill("#type-text", "我")
    check(
        "The server no longer has the model old model. Load this page again.",
        "服务器上已经没有模型 old model，请重新载入此页面。",
    )
    error = STREAMED | {"details": {"seconds": 120}}
    page.route("**/v1/completions", lambda route: route.fulfill(body=f"data: {json.dumps({'error': error})}\n\n"))
    try_part("sample", "sample-prompt", "我")
    check(
        "This took longer than 120 s and was given up. Ask for less, or try again later.",
        "超过 120 秒还没有算完，已放弃。请减少内容，或稍后再试。",
    )
    opened.complaints.clear()


def test_a_key_can_be_entered_for_a_server_that_needs_one(visit, expect):
    opened = visit()
    page = opened.page

    def guard(route):
        if route.request.headers.get("authorization") == "Bearer open sesame":
            route.continue_()
        else:
            route.fulfill(status=401, json={"error": {"message": "no", "type": "authentication_error"}})

    page.route(re.compile("/(v1|api)/"), guard)
    page.goto(opened.address)
    expect(page.locator("#notice")).to_contain_text("--api-key")
    page.fill("#key", "wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("--api-key")
    page.fill("#key", "open sesame")
    page.keyboard.press("Enter")
    assert bars(page)
    expect(page.locator("#key-form")).to_be_hidden()
    assert all("Failed to load resource" in each for each in opened.complaints)
    opened.complaints.clear()


# --- the address --------------------------------------------------------------------------------------------------


def test_a_reload_and_a_link_restore_the_state(visit, expect):
    """Part, model, text and settings are in the address after #, which servers do not see."""
    opened = visit()
    page = opened.open("surprise", model=1)
    text = "The hat & 我?#\n100 % o'n\" line"
    page.fill("#surprise-text", text)
    page.click("#tab-sample")
    page.fill("#temperature", "1.5")
    page.fill("#sample-seed", "12")
    page.wait_for_url(re.compile(r"#sample\?.*seed=12"))
    link = page.url
    page.reload()
    expect(page.locator("#tab-sample")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#model")).to_have_value("characters")
    for place in ("sample-prompt", "surprise-text", "type-text"):
        expect(page.locator(f"#{place}")).to_have_value(text)
    expect(page.locator("#temperature")).to_have_value("1.5")
    expect(page.locator("output[for=temperature]")).to_have_text("1.50")
    expect(page.locator("#sample-seed")).to_have_value("12")
    expect(page.locator("#sample-count")).to_have_value("1")
    second = opened.context.new_page()
    second.goto(link.replace("#sample", "#surprise"))
    expect(second.locator("#surprise-painting [role=option]").first).to_have_text("T")
    expect(second.locator("#surprise-text")).to_have_value(text)
    assert "temperature=1.5" in link
    assert all("seed" not in request.url for request in opened.requests)


def test_a_change_of_the_address_is_followed(visit, expect):
    opened = visit()
    page = opened.open()
    page.evaluate("location.hash = '#surprise?text=我 昨天&model=characters'")
    expect(page.locator("#tab-surprise")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#model")).to_have_value("characters")
    expect(page.locator("#surprise-text")).to_have_value("我 昨天")
    page.evaluate("location.hash = '#nonsense?model=none&text=<b>x'")
    expect(page.locator("#model")).to_have_value("words")
    expect(page.locator("#surprise-text")).to_have_value("<b>x")
    page.fill("#surprise-text", "x" * 5000)  # too long for an address
    page.wait_for_url(re.compile(r"#surprise$"))


def test_waiting_is_shown_in_the_language_of_the_page(visit, expect):
    opened = visit(locale="zh-CN")
    page = opened.open("surprise")
    held = []
    page.route("**/api/surprise", lambda route: held.append(route))  # noqa: PLW0108 - a method of a list cannot be wrapped
    page.fill("#surprise-text", "我")
    expect(page.locator("#waiting")).to_have_text("请稍候……")
    held[0].continue_()
    expect(page.locator("#waiting")).to_be_hidden()
    expect(page.locator("#surprise-painting [role=option]")).to_have_count(2)


def test_empty_parts_take_over_the_text(visit, expect):
    page = visit().open()
    page.fill("#type-text", "我 昨天")
    for part, field in (("rank", "rank-lines"), ("fill", "fill-text")):
        page.click(f"#tab-{part}")
        expect(page.locator(f"#{field}")).to_have_value("我 昨天")
    page.fill("#fill-text", "我 ____")
    page.click("#tab-type")
    expect(page.locator("#type-text")).to_have_value("我 昨天")  # a text with a blank is not shared


# --- two models ---------------------------------------------------------------------------------------------------


def test_predictions_of_two_models_are_shown_side_by_side(visit, expect):
    opened = visit()
    page = opened.open()
    page.fill("#type-text", "我 昨天")
    expect(page.locator("#type-second")).to_be_hidden()
    assert page.locator("#second option").all_text_contents() == [
        "no other model", "characters", HOSTILE.replace("/", " "), "ngram",
    ]  # fmt: skip
    page.select_option("#second", "ngram")
    expect(page.locator("#type-names span")).to_have_text(["words", "ngram"])
    expect(page.locator("#type-second .token").first).to_have_text("上学")
    boxes = [page.locator(f"#type-{name}").bounding_box() for name in ("candidates", "second")]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    page.locator("#type-second button").first.click()
    expect(page.locator("#type-text")).to_have_value("我 昨天 上学")
    page.wait_for_url(re.compile("second=ngram"))
    page.reload()
    expect(page.locator("#second")).to_have_value("ngram")
    page.select_option("#second", "")
    expect(page.locator("#type-second")).to_be_hidden()
    page.select_option("#model", "both")  # it has no next token to compare
    expect(page.locator("#second-choice")).to_be_hidden()


@pytest.mark.parametrize("other", ["ngram", "characters"])
def test_the_difference_between_two_models_is_painted(visit, expect, models, other):
    """The bits of every stretch are those of the models; bits of characters are added up."""
    page = visit().open("surprise")
    text = "我 昨天 放学 了 。"
    page.fill("#surprise-text", text)
    page.select_option("#second", other)
    stretches = page.locator("#surprise-difference [role=option]")
    expect(stretches).to_have_text(["我", "昨天", "放学", "了", "。", "↵"])
    paths = {"words": models[0], "ngram": models[4], "characters": models[1]}
    served = {name: ServedModel(name, LanguageModel.load(paths[name])) for name in ("words", other)}
    answers = {name: json.loads(encoded(finished(each.surprise(text, 1)))) for name, each in served.items()}
    totals = {name: sum(each["bits"] for each in answer["tokens"]) for name, answer in answers.items()}
    rows = page.locator("#surprise-second-table tr")
    expect(rows.nth(1)).to_contain_text(f"{totals['words']:.1f}")
    expect(rows.nth(2)).to_contain_text(f"{totals[other]:.1f}")
    apart = totals[other] - totals["words"]
    expect(rows.nth(3)).to_contain_text(f"{apart:+.2f}".replace("-", "−"))
    told = stretches.evaluate_all("all => all.map(each => each.ariaLabel)")
    differences = [float(re.search(r"([−+][\d.]+) bits", each)[1].replace("−", "-")) for each in told]
    assert sum(differences) == pytest.approx(apart, abs=0.05)
    page.fill("#surprise-text", "")
    expect(page.locator("#surprise-second")).to_be_hidden()


# --- memory -------------------------------------------------------------------------------------------------------


def test_replacing_a_word_shows_the_changed_surprise_of_what_follows(visit, expect, models):
    page = visit().open("surprise")
    text = "我 昨天 上学 迟到 了 。"
    page.fill("#surprise-text", text)
    expect(page.locator("#memory-hint")).to_be_visible()
    page.locator("#surprise-painting [role=option]").nth(1).click()
    expect(page.locator("#memory-label")).to_have_text("“昨天” becomes")
    assert page.input_value("#memory-word") not in ("", "昨天")  # a suggestion of the model
    page.fill("#memory-word", "明天")
    page.keyboard.press("Enter")
    expect(page.locator("#memory-figures")).to_contain_text("With 明天 in the place of 昨天")
    following = page.locator("#memory-painting [role=option]")
    expect(following).to_have_text(["上学", "迟到", "了", "。", "↵"])
    served = ServedModel("m", LanguageModel.load(models[0]))
    bits = [
        np.array([each["bits"] for each in json.loads(encoded(finished(served.surprise(each, 1))))["tokens"]])[2:]
        for each in (text, text.replace("昨天", "明天"))
    ]
    told = following.evaluate_all("all => all.map(each => each.ariaLabel)")
    changes = [float(re.search(r"([−+][\d.]+) bits", each)[1].replace("−", "-")) for each in told]
    assert changes == pytest.approx(bits[1] - bits[0], abs=0.006)
    assert max(np.abs(changes)) > 0.1  # the change is large enough to be visible
    following.nth(1).hover()
    expect(page.locator("#memory-painting .details")).to_contain_text(f"After the change: {bits[1][1]:.1f} bits")
    page.fill("#surprise-text", "我 上学")
    expect(page.locator("#memory-form")).to_be_hidden()
