"""How fast this machine trains a network."""

import time

import numpy as np

from rnnlm.text.batches import BatchSource
from rnnlm.training.engine import Engine
from rnnlm.training.workers import Workers

FEWEST_STEPS = 3
LONGEST = 1.0  # seconds


def tokens_per_second(engine: Engine, batches: BatchSource, seconds: float, workers: Workers) -> float:
    """Tokens of all workers in the median step, of those that some seconds have room for.

    The parameters of the engine stay as they are. All workers make the same number of steps, and get the same answer.
    """
    speeds: list[float] = []
    step, state, begun = 0, None, time.perf_counter()
    limit = min(seconds, LONGEST)
    while len(speeds) < FEWEST_STEPS or workers.largest(time.perf_counter() - begun) < limit:
        batch = batches.batch(step // batches.per_epoch, step % batches.per_epoch)
        started = time.perf_counter()
        result, state = engine.train_step(batch, None if batch.starts_epoch else state, 0.0, (0, step))
        elapsed = max(time.perf_counter() - started, 1e-9)
        if step:  # not the first one, which makes buffers, compiles or warms up
            speeds.append(result.tokens / elapsed)
        step += 1
    return workers.of_the_first(float(np.median(speeds)))
