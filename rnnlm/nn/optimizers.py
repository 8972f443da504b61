"""Optimizers, each equal to its namesake in torch.optim.

An optimizer is an update rule on flat pieces of a parameter, its gradient and its slots (running averages).

If only some rows of a table were looked up, only those rows and their slots change. For SGD and Adagrad, this equals
an update with a dense gradient. The others are lazy, like torch.optim.SparseAdam: without a look-up, a row's averages
do not decay, and neither momentum nor weight decay is applied to it.

Weight decay is decoupled for all of them (Loshchilov and Hutter 2019): p -= lr decay p before the rule, without effect
on gradients and averages. Biases do not decay: see `decay_of`.

Sources: Sutskever et al. 2013 (momentum, Nesterov), Duchi et al. 2011 (Adagrad), Tieleman and Hinton 2012 (RMSprop),
Kingma and Ba 2014 (Adam), Loshchilov and Hutter 2019 (AdamW).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnlm.nn.gradients import Gradient, Piece, RowGradient, Shares, alone, flat, pieces
from rnnlm.nn.kernels import fastest
from rnnlm.nn.numerics import Array


@dataclass
class Step:
    """Settings of an update rule in one step."""

    lr: float
    number: int  # 1 for the first step
    weight_decay: float
    settings: Mapping[str, Any]

    @property
    def kept(self) -> float:
        """Factor by which weight decay multiplies the weights."""
        return 1 - self.lr * self.weight_decay


def decay_of(weight_decay: float, dimensions: int) -> float:
    """Weight decay of a parameter by its number of dimensions: 0 for biases, as that of <s> must stay at -10,000."""
    return weight_decay if dimensions > 1 else 0.0


Rule = Callable[[Step, Array, Array, list[Array], Array], None]


def sgd(step: Step, p: Array, g: Array, slots: list[Array], scratch: Array) -> None:
    """p -= lr g, the article's rule."""
    fastest(sgd_update, p.dtype)(p, g, scratch, step.lr)


def sgd_update(p: Array, g: Array, scratch: Array, lr: float) -> None:
    """p -= lr g. Has a compiled twin, which does not use `scratch`."""
    np.multiply(g, lr, out=scratch)
    np.subtract(p, scratch, out=p)


def momentum(step: Step, p: Array, g: Array, slots: list[Array], scratch: Array) -> None:
    """v = mu v + g; p -= lr v."""
    (v,) = slots
    fastest(momentum_update, p.dtype)(p, g, v, scratch, step.settings["momentum"], step.lr, False)


def nesterov(step: Step, p: Array, g: Array, slots: list[Array], scratch: Array) -> None:
    """v = mu v + g; p -= lr (g + mu v)."""
    (v,) = slots
    fastest(momentum_update, p.dtype)(p, g, v, scratch, step.settings["momentum"], step.lr, True)


def momentum_update(p: Array, g: Array, v: Array, scratch: Array, mu: float, lr: float, ahead: bool) -> None:
    """v = mu v + g; p -= lr v, or p -= lr (g + mu v) if `ahead`.

    Has a compiled twin, which does not use `scratch`.
    """
    np.multiply(v, mu, out=v)
    np.add(v, g, out=v)
    if ahead:
        np.multiply(v, mu, out=scratch)
        np.add(scratch, g, out=scratch)
        np.multiply(scratch, lr, out=scratch)
    else:
        np.multiply(v, lr, out=scratch)
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
    """m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; p -= lr m^ / (sqrt(v^) + eps), with bias-corrected m^ and v^."""
    beta1, beta2 = step.settings["betas"]
    rate, correction = step.lr / (1 - beta1**step.number), (1 - beta2**step.number) ** -0.5
    update = fastest(adam_update, p.dtype)
    m, v = slots
    update(p, g, m, v, scratch, beta1, beta2, rate, correction, step.settings["eps"], step.kept)


def adam_update(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    scratch: Array,
    beta1: float,
    beta2: float,
    rate: float,
    correction: float,
    epsilon: float,
    decay: float,
) -> None:
    """m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; p = decay p - rate m / (correction sqrt(v) + eps).

    Has a compiled twin, which does not use `scratch`.
    """
    _average(m, beta1, g, scratch, squared=False)
    _average(v, beta2, g, scratch, squared=True)
    np.sqrt(v, out=scratch)
    np.multiply(scratch, correction, out=scratch)
    np.add(scratch, epsilon, out=scratch)
    np.divide(m, scratch, out=scratch)
    np.multiply(scratch, rate, out=scratch)
    if decay != 1:
        np.multiply(p, decay, out=p)
    np.subtract(p, scratch, out=p)


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
    """An update rule, the names of its slots, its settings and its default learning rate and weight decay.

    decays: the rule itself multiplies the weights by `Step.kept`, which saves a sweep over them.
    """

    rule: Rule
    slots: tuple[str, ...]
    default_lr: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    weight_decay: float = 0.0
    decays: bool = False


OPTIMIZERS: dict[str, OptimizerKind] = {
    "sgd": OptimizerKind(sgd, (), 1.0),
    "momentum": OptimizerKind(momentum, ("velocity",), 0.3, {"momentum": 0.9}),
    "nesterov": OptimizerKind(nesterov, ("velocity",), 0.3, {"momentum": 0.9}),
    "adagrad": OptimizerKind(adagrad, ("square",), 0.05, {"eps": 1e-10}),
    "rmsprop": OptimizerKind(rmsprop, ("square",), 2e-3, {"alpha": 0.99, "eps": 1e-8}),
    "adam": OptimizerKind(adam, ("mean", "square"), 4e-3, {"betas": (0.9, 0.999), "eps": 1e-8}, decays=True),
    "adamw": OptimizerKind(adam, ("mean", "square"), 4e-3, {"betas": (0.9, 0.999), "eps": 1e-8}, 0.01, decays=True),
}


AVERAGE = "average."  # prefix of the moving averages, by parameter name, among the slots of an engine


def average_decay(decay: float, steps: int) -> float:
    """Decay of the moving averages at step `steps` = 1, 2, ...; smaller at first, to forget the initial parameters."""
    return min(decay, (1 + steps) / (10 + steps))


def move_averages(
    averages: Mapping[str, Array], params: Mapping[str, Array], decay: float, shares: Shares = alone
) -> None:
    """a = decay a + (1 - decay) p, in place: an exponential moving average (Polyak and Juditsky 1992 took the mean)."""

    def work(share: list[Piece]) -> None:
        for name, part, _ in share:
            average = flat(averages[name])[part]
            difference = np.subtract(flat(params[name])[part], average)
            np.multiply(difference, 1 - decay, out=difference)
            np.add(average, difference, out=average)

    for _ in shares(work, pieces(params)):
        pass  # consuming the results re-raises exceptions of the threads


class Optimizer:
    """An update rule with its slots for a set of parameters."""

    def __init__(self, name: str, params: Mapping[str, Array], weight_decay: float | None = None) -> None:
        """Create zero slots for every parameter. name: a key of OPTIMIZERS. weight_decay: None for its default."""
        self.kind = OPTIMIZERS[name]
        self.weight_decay = self.kind.weight_decay if weight_decay is None else weight_decay
        self.steps = 0
        self.slots = {
            f"{slot}.{parameter}": np.zeros_like(array)
            for slot in self.kind.slots
            for parameter, array in params.items()
        }

    def step(
        self,
        params: Mapping[str, Array],
        grads: Mapping[str, Gradient],
        lr: float,
        scale: float = 1.0,
        shares: Shares = alone,
    ) -> None:
        """Update `params` in place by one step with gradients `scale` times `grads`; `shares` distributes the work."""
        self.steps += 1
        steps = {
            name: Step(lr, self.steps, decay_of(self.weight_decay, param.ndim), self.kind.settings)
            for name, param in params.items()
        }

        def work(share: list[Piece]) -> None:
            for name, part, _ in share:
                gradient = grads[name]
                if isinstance(gradient, RowGradient):
                    self._change_rows(steps[name], name, params[name], gradient, part, scale)
                else:
                    self._change(steps[name], name, params[name], gradient, part, scale)

        for _ in shares(work, pieces({name: grads[name] for name in params})):
            pass  # consuming the results re-raises exceptions of the threads

    def _change(self, step: Step, name: str, param: Array, gradient: Array, part: slice, scale: float) -> None:
        slots = [flat(self.slots[f"{slot}.{name}"])[part] for slot in self.kind.slots]
        self._apply(step, flat(param)[part], flat(gradient)[part], slots, scale)

    def _change_rows(
        self, step: Step, name: str, param: Array, gradient: RowGradient, part: slice, scale: float
    ) -> None:
        ids = gradient.ids[part]
        tables = [param, *(self.slots[f"{slot}.{name}"] for slot in self.kind.slots)]
        if gradient.transposed:
            tables = [table.T for table in tables]
        gathered = [table[ids] for table in tables]
        changed, *slots = [rows.reshape(-1) for rows in gathered]
        self._apply(step, changed, gradient.rows[part].reshape(-1), slots, scale)
        for table, rows in zip(tables, gathered, strict=True):
            table[ids] = rows

    def _apply(self, step: Step, p: Array, g: Array, slots: list[Array], scale: float) -> None:
        if scale != 1:
            g = g * scale
        if step.weight_decay and not self.kind.decays:
            np.multiply(p, step.kept, out=p)
        self.kind.rule(step, p, g, slots, np.empty_like(p))
