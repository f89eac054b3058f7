"""Muon in the precision of the machine: timm's and torch's compute only in bf16.

Both orthogonalise in bf16 whatever the device, which a processor without bf16 matrix units computes two
hundred times more slowly than float32 (measured with convnext_mini: 5.5 s a step instead of 0.1 s).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

# The quintic's coefficients step by step, from Jordan's modded-nanogpt and timm's `quintic`.
_COEFFICIENTS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)


def orthogonalised(matrix: Tensor) -> Tensor:
    """The matrix with all its singular values brought near 1, by Newton and Schulz's quintic iteration.

    With A = X X^T every step multiplies X from the left by p(A) = a + b A + c A A: the products are
    gathered in the small square and meet X once (Jordan et al. 2024, Muon; the Gram form).
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.mT
    x = x / (torch.linalg.matrix_norm(x) * 1.01 + 1e-7)
    gram, product = x @ x.mT, None
    for number, (a, b, c) in enumerate(_COEFFICIENTS, start=1):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product = factor if product is None else factor @ product
        if number < len(_COEFFICIENTS):
            gram = factor @ gram @ factor
    assert product is not None
    x = product @ x
    return x if wide else x.mT


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised, for matrices; AdamW for everything in groups with `adamw` set.

    Updates of an m x n matrix are scaled by 0.2 sqrt(max(m, n)) to AdamW's usual size (Liu et al. 2025),
    so that both kinds share learning rate and weight decay. Convolutions count as matrices of their
    output channels. State tensors are `momentum`, or `mean`, `square` and `step`.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps}
        super().__init__(groups, defaults | {"weight_decay": weight_decay, "adamw": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None if closure is None else closure()
        for group in self.param_groups:
            update = self._adamw if group["adamw"] else self._muon
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    update(parameter, group)
        return loss

    def _muon(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"].lerp_(gradient, 1 - group["momentum"])
        nesterov = gradient.lerp(momentum, group["momentum"])
        matrix = orthogonalised(nesterov.flatten(1))
        size = 0.2 * max(matrix.shape) ** 0.5
        parameter.add_(matrix.view_as(parameter), alpha=-group["lr"] * size)

    def _adamw(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[parameter], group["betas"]
        gradient = parameter.grad
        assert gradient is not None
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        mean = state["mean"].lerp_(gradient, 1 - beta1)
        square = state["square"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        scale = (square / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        parameter.addcdiv_(mean, scale, value=-group["lr"] / (1 - beta1 ** state["step"]))
