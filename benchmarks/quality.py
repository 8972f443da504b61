"""Train with `rnnlm train --level L --time T` alone and measure the models: the table of the README.

    python benchmarks/quality.py                                  list the names of the lines
    python benchmarks/quality.py tinyshakespeare-45s              one line of the table, with three seeds
    python benchmarks/quality.py kjv-10m --seeds 1 --json kjv.json

Texts are looked for in --data, by default $RNNLM_DATA: tinyshakespeare.txt, hongloumeng.txt, kjv/train.txt, valid.txt
and test.txt; those of the project are in corpora/. The Penn Treebank (ptb/train.txt, valid.txt and test.txt) may not be
passed on: put your own copy there. A text without a part for measuring is measured on its last tenth,
which `rnnlm train` holds out by default. A line is made by the commands that a user would type: `rnnlm eval` measures
the model and, if an n-gram is mixed with it, its network alone. A 5-gram model trained on the same part of the text is
measured for comparison. The mixture weights, six numbers at most, are fitted on the part "valid"; "test" is untouched
by them. Times hold for a machine without other load.
"""

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HELD_OUT = 0.1
ORDER = "5"


@dataclass(frozen=True)
class Line:
    """A line of the table.

    text: a file, or a folder with train.txt, valid.txt and test.txt. beginning: number of characters of it to use;
    0: all.
    """

    text: str
    options: str
    peers: str = ""
    beginning: int = 0


SHAKESPEARE, DREAM, KJV = "tinyshakespeare.txt", "hongloumeng.txt", "kjv"
LINES = {
    "tinyshakespeare-7s": Line(SHAKESPEARE, "--level char --time 7s", "nanoGPT, CPU recipe, 70 s: 1.886"),
    "tinyshakespeare-45s": Line(SHAKESPEARE, "--level char --time 45s", "torch LSTM 1 x 128, 20 s: 1.647"),
    "tinyshakespeare-3m": Line(SHAKESPEARE, "--level char --time 3m", "nanoGPT, 3 min of an A100: 1.4697"),
    "tinyshakespeare-10m": Line(SHAKESPEARE, "--level char --time 10m", "torch LSTM 1 x 512, 10 min: 1.434"),
    "tinyshakespeare-60m": Line(SHAKESPEARE, "--level char --time 60m"),
    "kjv-140s": Line(KJV, "--level word --time 140s", "torch LSTM 1 x 200, adaptive softmax, 140 s: perplexity 51.7"),
    "kjv-10m": Line(KJV, "--level word --time 10m", "faster-rnnlm GRU 200, 136 s: perplexity 46.0"),
    "hongloumeng-chars-6m": Line(DREAM, "--level char --time 6m"),
    "hongloumeng-words-6m": Line(DREAM, "--level word --time 6m"),
    "ptb-10m": Line("ptb", "--level token --time 10m", "LSTM 2 x 650: perplexity 82.7"),
    "ptb-60m": Line("ptb", "--level token --time 60m", "LSTM 2 x 650: perplexity 82.7"),
    "tinyshakespeare-7200": Line(SHAKESPEARE, "--level char", beginning=8_000),
    "corpora-chinese": Line("corpora/chinese.txt", ""),
    "corpora-english": Line("corpora/english.txt", ""),
}


@dataclass(frozen=True)
class Parts:
    """Files of a line: arguments of `train`, its validation options, the n-gram's text, and the parts to measure."""

    corpus: Path
    validation: list[str]
    learnt: Path
    measured: dict[str, Path]


def rnnlm(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run an rnnlm command and wait for it."""
    command = [sys.executable, "-m", "rnnlm", *map(str, arguments)]
    found = subprocess.run(command, check=False, capture_output=True, text=True, encoding="utf-8")
    if found.returncode:
        sys.exit(f"rnnlm {' '.join(map(str, arguments))} ended with {found.returncode}:\n{found.stderr}")
    return found


def parts(line: Line, data: Path, folder: Path) -> Parts:
    """Return the files of a line; the last tenth of a single text is cut off for measuring."""
    source = ROOT / line.text if line.text.startswith("corpora/") else data / line.text
    if not source.exists():
        sys.exit(f"{source} does not exist; expected the text of this line in the folder --data or $RNNLM_DATA.")
    if source.is_dir():
        valid, test = source / "valid.txt", source / "test.txt"
        return Parts(
            source / "train.txt", ["--valid", str(valid)], source / "train.txt", {"valid": valid, "test": test}
        )
    text = source.read_text(encoding="utf-8")
    if line.beginning:
        text = text[: line.beginning]
        source = folder / "beginning.txt"
        source.write_text(text, encoding="utf-8")
    edge = int(len(text) * (1 - HELD_OUT))
    if "--level char" not in line.options:  # cut between lines, so that words stay whole
        edge = text.rindex("\n", 0, edge) + 1
    learnt, held_out = folder / "learnt.txt", folder / "held-out.txt"
    learnt.write_text(text[:edge], encoding="utf-8")
    held_out.write_text(text[edge:], encoding="utf-8")
    if "--level char" in line.options:
        return Parts(source, [], learnt, {"valid": held_out})
    return Parts(learnt, ["--valid", str(held_out)], learnt, {"valid": held_out})


def measured(model: Path, files: dict[str, Path]) -> dict[str, Any]:
    """Return the figures of `rnnlm eval --json` for every part."""
    return {name: json.loads(rnnlm("eval", file, "-m", model, "--json").stdout) for name, file in files.items()}


def trained(line: Line, files: Parts, seed: int, folder: Path) -> dict[str, Any]:
    """Train with a seed and measure the model."""
    model = folder / f"{seed}.npz"
    command = ["train", files.corpus, *files.validation, *line.options.split(), "--seed", seed, "-o", model, "--force"]
    said = rnnlm(*command).stderr
    facts = json.loads(rnnlm("info", model, "--json").stdout)
    network = re.search(r"^Network +(.*); ([\d,]+) parameters", said, re.MULTILINE)
    training = re.search(r"^Training +(.*);", said, re.MULTILINE)
    passes = re.findall(r"epoch ([\d.]+)", said)
    assert network
    assert training
    return {
        "seed": seed,
        "network": f"{averaged} x {network[1]}" if (averaged := facts.get("averaged_networks", 1)) > 1 else network[1],
        "parameters": facts["parameters"],
        "training": training[1],
        "passes": float(passes[-1]),
        "level": facts["level"],
        **measured(model, files.measured),
    }


def baseline(files: Parts, level: str, folder: Path) -> dict[str, Any]:
    """Return the figures of an n-gram model trained on the same part of the text."""
    model = folder / "ngram.npz"
    rnnlm("ngram", "train", files.learnt, "--order", ORDER, "--level", level, "-o", model, "--force")
    return measured(model, files.measured)


def network_alone(run: dict[str, Any], part: str) -> dict[str, Any]:
    """Return the figures of a run's network without the n-gram."""
    found: dict[str, Any] = run[part]["parts"][0] if "parts" in run[part] else run[part]
    return found


def spread(values: list[float], key: str) -> str:
    """Return the mean and the range of a figure over the seeds."""
    digits = 1 if key == "perplexity" else 3
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def table_row(name: str, line: Line, runs: list[dict[str, Any]], ngram: dict[str, Any]) -> str:
    """Return a line of the table in Markdown."""
    key = "nats_per_token" if runs[0]["level"] == "char" else "perplexity"
    figures = "; ".join(f"{part} {spread([run[part][key] for run in runs], key)}" for part in ngram)
    alone = "; ".join(f"{part} {spread([network_alone(run, part)[key] for run in runs], key)}" for part in ngram)
    last = list(ngram)[-1]
    bits = spread([run[last]["bits_per_char"] for run in runs], "bits_per_char")
    gram_bits = f"{ngram[last]['bits_per_char']:.3f}"
    network = f"{runs[0]['network'].split(',')[0]}, {runs[0]['parameters'] / 1e6:.2f} M"
    unit = "nats" if key == "nats_per_token" else "perplexity"
    gram = f"{ngram[last][key]:.4g}"
    options = line.options or "no option"
    cells = [name, f"`{options}`", network, f"{figures} {unit}", alone, bits, f"{gram}; {gram_bits}", line.peers]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure one line, or list the names of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("line", nargs="?", choices=LINES, metavar="LINE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RNNLM_DATA", ".")))
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()
    if arguments.line is None:
        for name, line in LINES.items():
            print(f"{name:24} rnnlm train {line.text} {line.options}")
        return
    line, runs = LINES[arguments.line], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = parts(line, arguments.data, folder)
        for seed in arguments.seeds:
            runs.append(run := trained(line, files, seed, folder))
            nats = {part: f"{run[part]['nats_per_token']:.4f}" for part in files.measured}
            print(
                f"seed {seed}: {run['network']}; {run['training']}; {run['passes']:g} passes; {nats}", file=sys.stderr
            )
        ngram = baseline(files, runs[0]["level"], folder)
    best = min(run[next(iter(files.measured))]["nats_per_token"] for run in runs)
    assert math.isfinite(best)
    print("| line | options | network | held out | network alone | bits per character | 5-gram | peers |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | --- |")
    print(table_row(arguments.line, line, runs, ngram))
    if arguments.json:
        result = {"line": arguments.line, "options": line.options, "runs": runs, "ngram": ngram}
        arguments.json.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
