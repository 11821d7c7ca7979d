"""AdamW whose two running means take 8 bits each (Dettmers et al. 2022): bitsandbytes' kernels, on CUDA."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ropewalk.core.errors import MissingExtra
from ropewalk.optim.groups import decays
from ropewalk.optim.optimizer import Named, Optimizer, Update


class AdamW8Bit(Optimizer, type="adamw8bit"):
    """AdamW with a quarter of its memory; needs CUDA and bitsandbytes (extra `qlora`)."""

    lr: Annotated[float, Field(gt=0)] = 1e-3
    """Learning rate at the top of the schedule."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the gradient's running mean."""
    beta2: float = Field(default=0.95, ge=0, lt=1)
    """Decay of the squared gradient's running mean."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Pulls decaying weights to zero, times the learning rate."""

    def build(self, parameters: Named) -> Update:
        from ropewalk.optim.torch_update import TorchUpdate

        if not all(parameter.is_cuda for _, parameter in parameters):
            raise MissingExtra("optimizer adamw8bit: needs a CUDA device, and the model is elsewhere", remedy="use adamw")
        try:
            import bitsandbytes
        except ImportError:
            message = "optimizer adamw8bit: the package bitsandbytes is not installed"
            raise MissingExtra(message, remedy="pip install 'ropewalk[qlora]', or use adamw") from None
        groups = [
            {"params": [p for n, p in parameters if decays(n, p) == decaying], "weight_decay": self.weight_decay * decaying}
            for decaying in (True, False)
        ]
        betas = (self.beta1, self.beta2)
        made = bitsandbytes.optim.AdamW8bit([group for group in groups if group["params"]], lr=self.lr, betas=betas)
        return TorchUpdate(made, parameters)
