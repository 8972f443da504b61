"""glibc keeps the memory that a training step frees, for the next step."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from rnnlm.training.allocator import keep_freed_memory

if sys.argv[1] == "kept" and not keep_freed_memory():
    sys.exit(3)

def step():
    arrays = []
    for _ in range(20):
        arrays.append(np.ones(300_000))

step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    found = subprocess.run([sys.executable, "-c", FAULTS, how], check=False, capture_output=True, text=True)
    if found.returncode == 3:
        pytest.skip("this C library cannot be told")
    assert found.returncode == 0, found.stderr
    return int(found.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_a_step_reuses_the_memory_of_the_last_one() -> None:
    """Page faults are at least ten times fewer than where memory is returned to the system."""
    assert faults("kept") * 10 < faults("given back")
