"""AdamW (Loshchilov and Hutter 2019), torch's fused kernel: one pass over memory on CPU and GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ropewalk.optim.groups import decays
from ropewalk.optim.optimizer import Named, Optimizer, Update, fill

if TYPE_CHECKING:
    from torch import Tensor


class AdamW(Optimizer, type="adamw"):
    """Adam with decoupled weight decay; none on norms, biases and embeddings."""

    lr: Annotated[float, Field(gt=0)] = 1e-3
    """Learning rate at the top of the schedule."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the gradient's running mean."""
    beta2: float = Field(default=0.95, ge=0, lt=1)
    """Decay of the squared gradient's running mean."""
    epsilon: float = Field(default=1e-8, gt=0)
    """Keeps the division finite."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Pulls decaying weights to zero, times the learning rate."""

    def build(self, parameters: Named) -> Update:
        return AdamWUpdate(parameters, self.lr, self.beta1, self.beta2, self.epsilon, self.weight_decay)


class AdamWUpdate:
    """Two groups, with and without decay, each updated by one fused call."""

    def __init__(self, parameters: Named, lr: float, beta1: float, beta2: float, epsilon: float, weight_decay: float) -> None:
        import torch

        self.lr, self.betas, self.epsilon = lr, (beta1, beta2), epsilon
        self.parameters = dict(parameters)
        self.decay = {name: weight_decay if decays(name, parameter) else 0.0 for name, parameter in parameters}
        self.first = {name: torch.zeros_like(parameter) for name, parameter in parameters}
        self.second = {name: torch.zeros_like(parameter) for name, parameter in parameters}
        self.steps = {name: torch.zeros((), dtype=torch.float32, device=parameter.device) for name, parameter in parameters}

    def step(self, factor: float) -> None:
        import torch

        with torch.no_grad():
            for decay in sorted(set(self.decay.values())):
                names = [name for name, p in self.parameters.items() if self.decay[name] == decay and p.grad is not None]
                if not names:
                    continue
                torch._foreach_add_([self.steps[name] for name in names], 1)
                torch._fused_adamw_(
                    [self.parameters[name] for name in names],
                    [gradient for name in names if (gradient := self.parameters[name].grad) is not None],
                    [self.first[name] for name in names],
                    [self.second[name] for name in names],
                    [],
                    [self.steps[name] for name in names],
                    lr=self.lr * factor,
                    beta1=self.betas[0],
                    beta2=self.betas[1],
                    weight_decay=decay,
                    eps=self.epsilon,
                    amsgrad=False,
                    maximize=False,
                )

    def zero_grad(self) -> None:
        for parameter in self.parameters.values():
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        parts = {"first": self.first, "second": self.second, "steps": self.steps}
        return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        fill(self.state(), state)
