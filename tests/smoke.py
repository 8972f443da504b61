"""Try the installed rnnlm as a new user would: `python tests/smoke.py [--compiled]`.

This needs only the package, without a checkout or pytest, on any system. --compiled: require the compiled kernels.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

TEXT = "the ferry left early\nthe old ferry was late\nmy sister was early\nshe left the old house\n" * 40
SMALL = ["--epochs", "10", "--hidden-size", "16", "--embedding-size", "16", "--threads", "1"]


def rnnlm(*arguments: str) -> str:
    """Run a command and return its stdout; exit if it fails."""
    command = [sys.executable, "-m", "rnnlm", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8")
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def check(holds: bool, what: str) -> None:
    """Print that a condition holds, or exit."""
    if not holds:
        sys.exit(f"Not so: {what}")
    print(f"ok: {what}")


def try_it(folder: Path) -> None:
    """Train, predict, evaluate, score, sample and resume in a folder."""
    text, model = folder / "text.txt", str(folder / "m.npz")
    text.write_text(TEXT, encoding="utf-8")
    rnnlm("train", str(text), "-o", model, *SMALL, "--ngram", "0")
    candidates = json.loads(rnnlm("predict", "the old ferry", "-m", model, "--json"))["candidates"]
    check(candidates[0]["token"] == "was", "the ferry: was comes next")
    figures = json.loads(rnnlm("eval", str(text), "-m", model, "--json"))
    check(1 < figures["perplexity"] < 8, f"perplexity {figures['perplexity']:.2f} on 11 different words")
    lines = [json.loads(line) for line in rnnlm("score", str(text), "-m", model, "--json").splitlines()]
    total = sum(line["logprob_nats"] for line in lines)
    check(abs(total / figures["logprob_nats"] - 1) < 1e-4, "score and eval add up to the same")
    check(bool(rnnlm("sample", "-m", model, "--length", "5", "--seed", "1").strip()), "it writes")
    rnnlm("train", str(text), "-o", model, *SMALL, "--ngram", "0", "--epochs", "12", "--resume")
    check(json.loads(rnnlm("info", model, "--json"))["training"]["epochs_done"] == 12, "a training goes on")


def main() -> None:
    """Check that rnnlm is installed, and try it."""
    import rnnlm as package

    print(f"rnnlm {package.__version__} in {Path(str(package.__file__)).parent}, Python {sys.version.split()[0]}")
    checkout = Path(__file__).resolve().parents[1] / "rnnlm"
    check(checkout != Path(str(package.__file__)).resolve().parent, "it is an installed one")
    if "--compiled" in sys.argv:
        from rnnlm.nn.kernels import compiled

        check(compiled() is not None, "the kernels are compiled")
    with tempfile.TemporaryDirectory() as folder:
        try_it(Path(folder))


if __name__ == "__main__":
    main()
