"""Measurement of training speed."""

import time

import numpy as np

from rnnlm.text.batches import BatchSource
from rnnlm.training.engine import Engine
from rnnlm.training.workers import Workers

FEWEST_STEPS = 3
LONGEST = 1.0  # seconds


def tokens_per_second(engine: Engine, batches: BatchSource, seconds: float, workers: Workers) -> float:
    """Return the tokens per second of all workers, the median over the steps in `seconds`.

    The parameters of the engine are not changed. All workers make the same number of steps, and get the same result.
    """
    speeds: list[float] = []
    step, state, begun = 0, None, time.perf_counter()
    limit = min(seconds, LONGEST)
    while len(speeds) < FEWEST_STEPS or workers.largest(time.perf_counter() - begun) < limit:
        batch = batches.batch(step // batches.per_epoch, step % batches.per_epoch)
        started = time.perf_counter()
        result, state = engine.train_step(batch, None if batch.starts_epoch else state, 0.0, (0, step))
        elapsed = max(time.perf_counter() - started, 1e-9)
        if step:  # without the first, which allocates and compiles
            speeds.append(result.tokens / elapsed)
        step += 1
    return workers.of_the_first(float(np.median(speeds)))
