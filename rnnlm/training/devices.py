"""Selection of a PyTorch device by the name of an option."""

import torch

from rnnlm.errors import TrainingError
from rnnlm.training.workers import Workers


def device_of(name: str, workers: Workers) -> torch.device:
    """Return the device of a --device option; with several workers on a machine, each has its own GPU.

    Raises:
        TrainingError: the device is not available.
    """
    if name == "auto":
        mps = torch.backends.mps.is_available() and workers.size == 1
        name = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if device.type == "cuda" and workers.size > 1 and device.index is None:
        device = torch.device("cuda", workers.local_rank)
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < count,
        "mps": torch.backends.mps.is_available() and workers.size == 1,
    }
    if not there.get(device.type):
        found = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
        found += ["mps"] if torch.backends.mps.is_available() else []
        raise TrainingError(
            f"--device {name}{f' of worker {workers.rank}' if workers.size > 1 else ''} is not available; PyTorch "
            f"finds {', '.join(['cpu', *found])}. Choose one of them, or start as many workers as there are GPUs."
        )
    return device
