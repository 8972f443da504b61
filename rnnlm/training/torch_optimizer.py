"""The optimizers of `rnnlm.nn.optimizers` on PyTorch: the same rules, settings and slots, on lists of tensors.

They use torch._foreach_* and torch._fused_*, the operations of torch.optim itself, with the slots of the NumPy
optimizers. So checkpoints can be exchanged between the engines, and the rows of a table that a batch read are updated
lazily, as one more tensor of the list. (torch.optim would need a second optimizer for them, and has a lazy one only for
Adam.)
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from rnnlm.nn.optimizers import OPTIMIZERS, Step, decay_of

Tensors = list[Tensor]
Rule = Callable[[Step, Tensors, Tensors, list[Tensors]], None]


def _sgd(step: Step, p: Tensors, g: Tensors, slots: list[Tensors]) -> None:
    torch._foreach_add_(p, g, alpha=-step.lr)


def _momentum(step: Step, p: Tensors, g: Tensors, slots: list[Tensors]) -> None:
    (v,) = slots
    torch._foreach_mul_(v, step.settings["momentum"])
    torch._foreach_add_(v, g)
    torch._foreach_add_(p, v, alpha=-step.lr)


def _nesterov(step: Step, p: Tensors, g: Tensors, slots: list[Tensors]) -> None:
    _momentum(replace(step, lr=step.lr * step.settings["momentum"]), p, g, slots)
    torch._foreach_add_(p, g, alpha=-step.lr)


def _adagrad(step: Step, p: Tensors, g: Tensors, slots: list[Tensors]) -> None:
    torch._foreach_addcmul_(slots[0], g, g)
    _divided_step(step, p, g, slots[0])


def _rmsprop(step: Step, p: Tensors, g: Tensors, slots: list[Tensors]) -> None:
    alpha = step.settings["alpha"]
    torch._foreach_mul_(slots[0], alpha)
    torch._foreach_addcmul_(slots[0], g, g, value=1 - alpha)
    _divided_step(step, p, g, slots[0])


def _divided_step(step: Step, p: Tensors, g: Tensors, s: Tensors) -> None:
    divisors = torch._foreach_sqrt(s)
    torch._foreach_add_(divisors, step.settings["eps"])
    torch._foreach_addcdiv_(p, g, divisors, value=-step.lr)


def _adam(step: Step, p: Tensors, g: Tensors, slots: list[Tensors]) -> None:
    beta1, beta2 = step.settings["betas"]
    number = torch.tensor(float(step.number), device=p[0].device)
    torch._fused_adam_(
        p,
        g,
        *slots,
        [],
        [number] * len(p),
        lr=step.lr,
        beta1=beta1,
        beta2=beta2,
        weight_decay=0.0,
        eps=step.settings["eps"],
        amsgrad=False,
        maximize=False,
    )


RULES: dict[str, Rule] = {
    "sgd": _sgd,
    "momentum": _momentum,
    "nesterov": _nesterov,
    "adagrad": _adagrad,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "adamw": _adam,
}


@torch.no_grad()  # type: ignore[untyped-decorator]
def move_averages(averages: Mapping[str, Tensor], params: Mapping[str, Tensor], decay: float) -> None:
    """Set a = decay a + (1 - decay) p, in place."""
    torch._foreach_lerp_([averages[name] for name in params], list(params.values()), 1 - decay)


class Rows(NamedTuple):
    """Distinct row ids (K,) of a table, and the gradient (K, D) of these rows."""

    ids: Tensor
    gradient: Tensor


class TorchOptimizer:
    """An update rule, and its slots for a set of parameters; tables have their rows in the first dimension."""

    def __init__(self, name: str, params: Mapping[str, Tensor], weight_decay: float | None = None) -> None:
        """Create zero slots for every parameter; name: a key of RULES. weight_decay: None for the rule's default."""
        self.kind, self.rule, self.steps = OPTIMIZERS[name], RULES[name], 0
        self.weight_decay = self.kind.weight_decay if weight_decay is None else weight_decay
        self.slots = {
            f"{slot}.{parameter}": torch.zeros_like(tensor, requires_grad=False)
            for slot in self.kind.slots
            for parameter, tensor in params.items()
        }

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(self, params: Mapping[str, Tensor], grads: Mapping[str, Tensor | Rows], lr: float, scale: float) -> None:
        """Update `params` in place with the gradients scale * grads; `grads` are overwritten."""
        self.steps += 1
        whole, parts, gradients, scattered = [], [], [], []
        for name, gradient in grads.items():
            tensors = [params[name].detach(), *(self.slots[f"{slot}.{name}"] for slot in self.kind.slots)]
            if isinstance(gradient, Rows):
                rows = [tensor.index_select(0, gradient.ids) for tensor in tensors]
                scattered += [(tensor, gradient.ids, part) for tensor, part in zip(tensors, rows, strict=True)]
                tensors, gradient = rows, gradient.gradient
            whole.append(tensors)
            gradients.append(gradient)
        if scale != 1:
            torch._foreach_mul_(gradients, scale)
        parts = [list(each) for each in zip(*whole, strict=True)]
        step = Step(lr, self.steps, self.weight_decay, self.kind.settings)
        if decaying := [part for part in parts[0] if decay_of(self.weight_decay, part.dim())]:
            torch._foreach_mul_(decaying, step.kept)
        self.rule(step, parts[0], gradients, parts[1:])
        for tensor, ids, part in scattered:
            tensor.index_copy_(0, ids, part)
