"""Any optimizer of torch or of pytorch-optimizer (extra `optim`), by its name: more than a hundred, all parameters by the same rule."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

from pydantic import Field

from ropewalk.core.errors import ConfigError, MissingExtra
from ropewalk.core.load import nearest
from ropewalk.optim.groups import decays
from ropewalk.optim.optimizer import Named, Optimizer, Update


class TorchOptimizer(Optimizer, type="torch_optimizer"):
    """An optimizer of torch.optim or pytorch-optimizer; resumes bit for bit. Those that compute the loss again (LBFGS, SAM) are refused."""

    name: str
    """Its class in torch.optim, or else in pytorch_optimizer: `Adafactor`, `Lion`, `Prodigy`."""
    lr: Annotated[float, Field(gt=0)] = 1e-3
    """Learning rate at the top of the schedule."""
    arguments: dict[str, Any] = {}
    """What else its class takes; `weight_decay` holds for matrices only, never for norms, biases and embeddings."""

    def build(self, parameters: Named) -> Update:
        from ropewalk.optim.torch_update import TorchUpdate

        found = self._found()
        step = inspect.signature(found.step).parameters
        if "closure" in step and step["closure"].default is inspect.Parameter.empty:
            raise ConfigError(f"optimizer torch_optimizer: {self.name} computes the loss again in each step, which training does not do")
        groups: list[dict[str, Any]] = [{"params": [p for n, p in parameters if decays(n, p)]}]
        groups.append({"params": [p for n, p in parameters if not decays(n, p)]})
        if "weight_decay" in self.arguments:
            groups[1]["weight_decay"] = 0.0
        try:
            made = found([group for group in groups if group["params"]], lr=self.lr, **self.arguments)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"optimizer torch_optimizer: {self.name}({', '.join(['lr', *self.arguments])}): {error}") from error
        return TorchUpdate(made, parameters)

    def _found(self) -> Any:
        import torch

        known = {name: value for name, value in vars(torch.optim).items() if _is_optimizer(value)}
        if self.name in known:
            return known[self.name]
        try:
            import pytorch_optimizer
        except ImportError:
            message = f"optimizer torch_optimizer: torch has no {self.name}, and pytorch-optimizer is not installed"
            raise MissingExtra(message, remedy="pip install 'ropewalk[optim]'") from None
        more = {name: value for name, value in vars(pytorch_optimizer).items() if _is_optimizer(value)}
        if self.name not in more:
            advice = nearest(self.name, sorted({*known, *more}))
            raise ConfigError(f"optimizer torch_optimizer: neither torch nor pytorch-optimizer has {self.name!r} ({advice})")
        return more[self.name]


def _is_optimizer(value: object) -> bool:
    import torch

    return isinstance(value, type) and issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer
