"""The command line of Mikolov's rnnlm, as scripts of Kaldi call it."""

import math

import pytest

from rnnlm.cli import run

LINES = "u1-1 the cat sat\nu1-2\tthe cat\n\nu2-1\nu2-2 the zebra sat"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mikolov")
    (folder / "text").write_text("the cat sat\nthe dog sat on the mat\n" * 20)
    assert run(["ngram", "train", str(folder / "text"), "-o", str(folder / "m.npz")]) == 0
    (folder / "lists").write_text(LINES)
    return folder


def printed(capfdbinary, *arguments, code=0):
    capfdbinary.readouterr()
    assert run([str(each) for each in arguments]) == code
    found = capfdbinary.readouterr()
    return found.out.decode(), found.err.decode()


def test_each_line_has_the_log10_that_score_prints_for_its_text(files, capfdbinary):
    out, err = printed(
        capfdbinary, "-independent", "-rnnlm", files / "m.npz", "-test", files / "lists", "-nbest", "-debug", "0"
    )
    assert err == ""
    texts = ["the cat sat", "the cat", "", "the zebra sat"]
    (files / "texts").write_text("".join(text + "\n" for text in texts))
    assert out == printed(capfdbinary, "score", files / "texts", "-m", files / "m.npz", "--format", "mikolov")[0]
    assert len(set(out.split())) == 4


def test_totals_follow_unless_debug_is_zero(files, capfdbinary):
    asked = ["-rnnlm", files / "m.npz", "-test", files / "lists", "-nbest", "-independent"]
    scores, _ = printed(capfdbinary, *asked, "-debug", "0")
    out, _ = printed(capfdbinary, *asked)
    total = sum(map(float, scores.split()))
    assert out.startswith(scores)
    blank, logprob, blank_too, perplexity = out.removeprefix(scores).splitlines()
    assert (blank, blank_too) == ("", "")
    assert float(logprob.removeprefix("test log probability: ")) == pytest.approx(total, abs=1e-4)
    words = 3 + 2 + 0 + 3 + 4
    assert float(perplexity.removeprefix("PPL net: ")) == pytest.approx(math.pow(10, -total / words), rel=1e-4)


def test_unsupported_options_are_refused_in_a_sentence(files, tmp_path, capfdbinary):
    asked = ["-rnnlm", files / "m.npz", "-test", files / "lists"]
    for options, message in [
        ([], "add -nbest"),
        (["-nbest"], "add -independent"),
        (["-nbest", "-independent", "-lambda", "1"], "No such option"),
        (["-nbest", "-independent", "-debug", "x"], "'x' is not a valid integer"),
    ]:
        assert message in printed(capfdbinary, *asked, *options, code=2)[1]
    missing = ["-rnnlm", files / "m.npz", "-test", tmp_path / "no", "-nbest", "-independent"]
    assert "does not exist" in printed(capfdbinary, *missing, code=1)[1]
    model = ["-rnnlm", tmp_path / "no", "-test", files / "lists", "-nbest", "-independent"]
    assert "Error: " in printed(capfdbinary, *model, code=1)[1]


def test_rnnlms_own_commands_are_unaffected(files, capfdbinary):
    assert "-rnnlm" not in printed(capfdbinary, "--help")[0]
    out, _ = printed(capfdbinary, "score", "--text", "the cat", "-m", files / "m.npz")
    assert "the cat" in out
    assert "No such option" in printed(capfdbinary, "-x", code=2)[1]
