"""Optimizers: from gradients to changed parameters, each equal to its namesake in torch.optim.

An optimizer is an update rule on flat chunks of a parameter, its gradient and its slots (running averages). Chunks
are small enough to stay in the cache while the rule sweeps over them several times. Sources: Sutskever et al. 2013
(momentum, Nesterov), Duchi et al. 2011 (Adagrad), Tieleman and Hinton 2012 (RMSprop), Kingma and Ba 2014 (Adam),
Loshchilov and Hutter 2019 (AdamW).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnlm.nn.numerics import Array

CHUNK = 1 << 14  # floats: a parameter, its gradient, two slots and scratch fit into a 512 KB cache


def global_norm(grads: Mapping[str, Array]) -> float:
    """Euclidean norm of all gradients together."""
    return float(np.sqrt(sum(float(np.vdot(g, g)) for g in map(_flat, grads.values()))))


def clip_global_norm(grads: Mapping[str, Array], limit: float) -> float:
    """Scale all gradients in place so that their global norm is at most `limit` (0: leave them); return the norm.

    Pascanu, Mikolov and Bengio 2013: what keeps an exploding gradient from throwing the weights away.
    """
    norm = global_norm(grads)
    if limit and norm > limit:
        for gradient in grads.values():
            np.multiply(gradient, limit / norm, out=gradient)
    return norm


def _flat(array: Array) -> Array:
    """One-dimensional view in memory order."""
    return (array if array.flags.c_contiguous else array.T).reshape(-1)


@dataclass
class Step:
    """What an update rule needs to know beside the arrays."""

    lr: float
    number: int  # 1 for the first step
    settings: Mapping[str, Any]


Rule = Callable[[Step, Array, Array, list[Array], Array], None]


def sgd(step: Step, p: Array, g: Array, slots: list[Array], scratch: Array) -> None:
    """p -= lr g, the article's rule."""
    np.multiply(g, step.lr, out=scratch)
    np.subtract(p, scratch, out=p)


def momentum(step: Step, p: Array, g: Array, slots: list[Array], scratch: Array) -> None:
    """v = mu v + g; p -= lr v."""
    (v,) = slots
    np.multiply(v, step.settings["momentum"], out=v)
    np.add(v, g, out=v)
    np.multiply(v, step.lr, out=scratch)
    np.subtract(p, scratch, out=p)


def nesterov(step: Step, p: Array, g: Array, slots: list[Array], scratch: Array) -> None:
    """v = mu v + g; p -= lr (g + mu v)."""
    (v,) = slots
    np.multiply(v, step.settings["momentum"], out=v)
    np.add(v, g, out=v)
    np.multiply(v, step.settings["momentum"], out=scratch)
    np.add(scratch, g, out=scratch)
    np.multiply(scratch, step.lr, out=scratch)
    np.subtract(p, scratch, out=p)


def adagrad(step: Step, p: Array, g: Array, slots: list[Array], scratch: Array) -> None:
    """s += g^2; p -= lr g / (sqrt(s) + eps)."""
    (s,) = slots
    np.square(g, out=scratch)
    np.add(s, scratch, out=s)
    _divided_step(step, p, g, s, scratch)


def rmsprop(step: Step, p: Array, g: Array, slots: list[Array], scratch: Array) -> None:
    """s = a s + (1 - a) g^2; p -= lr g / (sqrt(s) + eps)."""
    (s,) = slots
    _average(s, step.settings["alpha"], g, scratch, squared=True)
    _divided_step(step, p, g, s, scratch)


def adam(step: Step, p: Array, g: Array, slots: list[Array], scratch: Array) -> None:
    """m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; p -= lr m^ / (sqrt(v^) + eps), ^ for bias-corrected."""
    m, v = slots
    beta1, beta2 = step.settings["betas"]
    _average(m, beta1, g, scratch, squared=False)
    _average(v, beta2, g, scratch, squared=True)
    np.sqrt(v, out=scratch)
    np.multiply(scratch, (1 - beta2**step.number) ** -0.5, out=scratch)
    np.add(scratch, step.settings["eps"], out=scratch)
    np.divide(m, scratch, out=scratch)
    np.multiply(scratch, step.lr / (1 - beta1**step.number), out=scratch)
    np.subtract(p, scratch, out=p)


def adamw(step: Step, p: Array, g: Array, slots: list[Array], scratch: Array) -> None:
    """p -= lr decay p, then Adam: weight decay that the running averages do not see."""
    np.multiply(p, 1 - step.lr * step.settings["weight_decay"], out=p)
    adam(step, p, g, slots, scratch)


def _average(slot: Array, decay: float, g: Array, scratch: Array, squared: bool) -> None:
    np.multiply(slot, decay, out=slot)
    if squared:
        np.square(g, out=scratch)
        np.multiply(scratch, 1 - decay, out=scratch)
    else:
        np.multiply(g, 1 - decay, out=scratch)
    np.add(slot, scratch, out=slot)


def _divided_step(step: Step, p: Array, g: Array, s: Array, scratch: Array) -> None:
    np.sqrt(s, out=scratch)
    np.add(scratch, step.settings["eps"], out=scratch)
    np.divide(g, scratch, out=scratch)
    np.multiply(scratch, step.lr, out=scratch)
    np.subtract(p, scratch, out=p)


@dataclass(frozen=True)
class OptimizerKind:
    """An update rule, the names of its slots, its settings and a learning rate that suits it."""

    rule: Rule
    slots: tuple[str, ...]
    default_lr: float
    settings: Mapping[str, Any] = field(default_factory=dict)


OPTIMIZERS: dict[str, OptimizerKind] = {
    "sgd": OptimizerKind(sgd, (), 1.0),
    "momentum": OptimizerKind(momentum, ("velocity",), 0.3, {"momentum": 0.9}),
    "nesterov": OptimizerKind(nesterov, ("velocity",), 0.3, {"momentum": 0.9}),
    "adagrad": OptimizerKind(adagrad, ("square",), 0.05, {"eps": 1e-10}),
    "rmsprop": OptimizerKind(rmsprop, ("square",), 2e-3, {"alpha": 0.99, "eps": 1e-8}),
    "adam": OptimizerKind(adam, ("mean", "square"), 4e-3, {"betas": (0.9, 0.999), "eps": 1e-8}),
    "adamw": OptimizerKind(adamw, ("mean", "square"), 4e-3, {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}),
}


class Optimizer:
    """An update rule with its slots for a set of parameters."""

    def __init__(self, name: str, params: Mapping[str, Array]) -> None:
        """Slots of zeros for every parameter; `name` is one of OPTIMIZERS."""
        self.kind = OPTIMIZERS[name]
        self.steps = 0
        self.slots = {
            f"{slot}.{parameter}": np.zeros_like(array)
            for slot in self.kind.slots
            for parameter, array in params.items()
        }

    def step(self, params: Mapping[str, Array], grads: Mapping[str, Array], lr: float) -> None:
        """Change `params` in place by one step against `grads`."""
        self.steps += 1
        step = Step(lr, self.steps, self.kind.settings)
        for name, p in params.items():
            flat, gradient = _flat(p), _flat(grads[name])
            slots = [_flat(self.slots[f"{slot}.{name}"]) for slot in self.kind.slots]
            scratch = np.empty(min(CHUNK, flat.size), dtype=flat.dtype)
            for start in range(0, flat.size, CHUNK):
                part = slice(start, min(start + CHUNK, flat.size))
                self.kind.rule(step, flat[part], gradient[part], [s[part] for s in slots], scratch[: part.stop - start])
