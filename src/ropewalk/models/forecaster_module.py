"""The forecaster's module: a body, a head, and a linear highway from the window's path to the horizon; its folder, too."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ropewalk.core.errors import DataError
from ropewalk.core.seed import torch_generator
from ropewalk.models.dropout_module import Draws
from ropewalk.models.folder_module import WEIGHTS, read_weights
from ropewalk.models.forecast_heads_module import open_head
from ropewalk.models.forecaster import ForecastShape, WindowShape
from ropewalk.models.window_module import LSTMBody, PatchBody

PREFIX = "ropewalk_forecaster"


class ForecastModule(nn.Module):
    """past (B, T, C) and known (B, H, K) in scaled units to quantiles (B, H, Q)."""

    def __init__(self, shape: ForecastShape, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.checkpointing = False
        self.draws = Draws()
        self.body = LSTMBody(shape, self.draws) if shape.body == "lstm" else PatchBody(shape, self.draws)
        self.head = open_head(shape, self.draws)
        self.linear_head = nn.Linear(shape.window.context, shape.window.horizon) if shape.highway else None
        self._initialise(seed)

    def _initialise(self, seed: int) -> None:
        """Products start at 1/sqrt(inputs), and the forecast as no change."""
        generator = torch_generator(seed, "weights")
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.endswith("positions"):
                    parameter.normal_(std=0.02, generator=generator)
                elif parameter.dim() > 1:
                    parameter.normal_(std=parameter.size(-1) ** -0.5, generator=generator)
                else:
                    parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
            self.head.begin()
            if self.linear_head is not None:
                self.linear_head.weight.zero_()

    def loss_sum(self, past: Tensor, known: Tensor, target: Tensor, keys: Tensor) -> Tensor:
        """The head's loss, summed over rows and horizon."""
        return self.head.loss_sum(*self._read(past, known), target, keys)

    def quantiles(self, past: Tensor, known: Tensor, levels: Tensor, keys: Tensor) -> Tensor:
        """(B, H, Q) in scaled units."""
        return self.head.quantiles(*self._read(past, known), levels, keys)

    def _read(self, past: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states (B, H, D) and the highway's forecast (B, H)."""
        again = self.checkpointing and self.training
        states = checkpoint(self.body, past, known, use_reentrant=False) if again else self.body(past, known)
        if self.linear_head is None:
            return states, states.new_zeros(states.shape[:2])
        return states, self.linear_head(past[:, :, 0]).float()


def save_forecaster(folder: Path, module: ForecastModule) -> None:
    """Write config.json and model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": f"{PREFIX}_{module.shape.body}_{module.shape.head}", **asdict(module.shape)}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}, folder / WEIGHTS, {"format": "pt"}
    )


def load_forecaster(folder: Path, device: str = "cpu") -> ForecastModule:
    """The module in evaluation mode; raises DataError naming what doesn't fit."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not str(config.pop("model_type", "")).startswith(PREFIX):
            raise DataError(f"{folder}: is no forecaster", remedy="name a model that was trained with task: forecast")
        window = WindowShape(**config.pop("window"))
        module = ForecastModule(ForecastShape(**{**config, "window": window, "levels": tuple(config["levels"])}))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{folder / 'config.json'}: can't be read: {error}") from None
    weights = read_weights(folder)
    own = {name: tensor.shape for name, tensor in module.state_dict().items()}
    if wrong := sorted(set(own) ^ set(weights)) or [name for name in own if own[name] != weights[name].shape]:
        raise DataError(f"{folder}: the weights don't fit config.json: {', '.join(wrong[:3])}")
    module.load_state_dict(weights)
    return module.to(device).eval()
