"""The notebooks run completely, and their claims are true."""

import json
from pathlib import Path

import numpy as np
import pytest

import rnnlm

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(path.stem for path in EXAMPLES.glob("*.ipynb"))
MOST_BYTES = 200_000


def cells(name):
    return json.loads((EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]


def code(name):
    return ["".join(cell["source"]) for cell in cells(name) if cell["cell_type"] == "code"]


def run(name, monkeypatch):
    """Run the code cells in order as Jupyter does, with very short trainings; return their variables."""
    monkeypatch.chdir(EXAMPLES)
    quickly, moment = rnnlm.train, {"time": None, "epochs": 0.05, "hidden_size": 8, "threads": 1, "progress": False}
    monkeypatch.setattr(rnnlm, "train", lambda **options: quickly(**options | moment), raising=False)
    namespace = {"__name__": "__main__"}
    for number, source in enumerate(code(name), 1):
        exec(compile(source, f"{name}, code cell {number}", "exec"), namespace)
    return namespace


@pytest.fixture
def no_window(monkeypatch):
    """Draw pictures, if matplotlib is installed, without showing them."""
    monkeypatch.setenv("MPLBACKEND", "agg")


def test_the_claims_of_the_article_notebook_are_true(monkeypatch, capsys):
    found = run("article", monkeypatch)
    assert max(found["errors"].values()) < 1e-7
    assert max(each.relative_error for each in found["comparisons"]) < 1e-7
    assert found["difference"] < 1e-12
    assert found["p"].sum() == pytest.approx(1)
    assert found["slopes"] == pytest.approx(found["p"] - np.eye(4)[found["target"]], abs=1e-6)
    shares = found["shares"]
    assert shares[0.5][20] < shares[1.0][20] < shares[2.0][20]
    for (
        scale,
        left,
    ) in shares.items():  # the article's bound; the reference length includes |f'| of the last step
        assert left[20] <= scale**20 * np.sqrt(2)
    least = 8 * np.log(2) / 20
    assert least < found["losses"][-1] < least + 0.03
    for text, answer in {"我 昨天": "上学", "他 昨天": "上班", "我 今天": "上班", "他 今天": "上学"}.items():
        probabilities = found["next_word"](text)
        assert probabilities.sum() == pytest.approx(1)
        assert found["words"][probabilities.argmax()] == answer


@pytest.mark.usefixtures("no_window")
@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_the_tour_notebook_runs(monkeypatch, capsys):
    found = run("tour", monkeypatch)
    assert found["total"] == pytest.approx(1, abs=1e-4)
    assert found["score"] <= 0
    assert len(found["text"]) + len(found["test"]) == len(found["lines"])
    answers = {
        who: found["bigram"].predict(f"{who} 昨天 上学 迟到 了 ， 老师 批评 了", k=3).candidates
        for who in ("我", "他", "妹妹")
    }
    assert answers["我"] == answers["他"] == answers["妹妹"]
    scored = found["model"].score(found["sentence"])
    assert np.isfinite(scored.logprob_nats)


def test_the_printed_control_of_the_tour_has_one_answer_of_the_bigram():
    """For three subjects the network gives three answers."""
    lines = printed("tour", "bigram:").splitlines()
    network = [line.split()[2] for line in lines]
    bigram = {line.partition("bigram:")[2] for line in lines}
    assert network == ["我", "他", "她"]
    assert len(bigram) == 1


def printed(name, words):
    """Return the output of the first code cell whose output contains `words`."""
    for cell in cells(name):
        for output in cell.get("outputs", []):
            text = "".join(output.get("text", []))
            if words in text:
                return text.rstrip("\n")
    raise AssertionError(f"no cell of {name} has printed {words}")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_was_run_in_order_and_contains_no_local_paths(name):
    counts = [cell["execution_count"] for cell in cells(name) if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    text = (EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    for trace in ("/home/", "/root", "/tmp", "/Users/", "\\r", "Traceback"):
        assert trace not in text


def test_both_notebooks_exist():
    assert NOTEBOOKS == ["article", "tour"]
