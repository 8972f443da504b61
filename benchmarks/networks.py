"""Whether a time is better spent on one network or on several whose average is the model.

    python benchmarks/networks.py                       the table of RESULTS.md: three quarters of an hour
    python benchmarks/networks.py --characters 20000 --times 20 --networks 1 2

Each training is that of `rnnlm train TEXT --level char --time T --networks N` on the first characters of
tinyshakespeare, which is looked for in --data, by default $RNNLM_DATA; width and passes follow from the rules.
Figures are nats a token of the held-out tenth: the model's networks, and with the n-gram that is mixed with them. A
second is one of the processor's time in one thread, so that other work on the machine changes little.
"""

import os

for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import argparse
from pathlib import Path

from cells import count_processor_time

import rnnlm


def row(text: str, seconds: float, networks: int, seed: int) -> str:
    """Train and return a line of the table."""
    model = rnnlm.train(
        text=text.splitlines(), level="char", time=seconds, networks=networks, seed=seed, threads=1, progress=False
    )
    units, passes = model.training["options"]["hidden_size"], model.history[-1]["epoch"] / networks
    alone = model.training["best_nats_per_token"]
    both = model.training.get("mixture", {}).get("nats_per_token", alone)
    return f"| {seconds:g} | {networks} x {units} | {passes:.0f} | {alone:.3f} | {both:.3f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", type=int, default=100_000, help="characters of the text to use")
    parser.add_argument("--times", type=float, nargs="+", default=[60, 220, 660], help="CPU seconds for each training")
    parser.add_argument("--networks", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=os.environ.get("RNNLM_DATA"))
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("--data names no folder with the texts, and $RNNLM_DATA is not set")
    text = (Path(arguments.data) / "tinyshakespeare.txt").read_text(encoding="utf-8")[: arguments.characters]
    count_processor_time()
    print("| seconds | networks | passes of each | average | with the n-gram |\n| ---: | --- | ---: | ---: | ---: |")
    for seconds in arguments.times:
        for networks in arguments.networks:
            print(row(text, seconds, networks, arguments.seed), flush=True)


if __name__ == "__main__":
    main()
