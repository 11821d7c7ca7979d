"""Forecasters: equal seeds, any micro-batch, heads that tell what they learned, samplers with the right spread, folders that come back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ropewalk.core.errors import DataError
from ropewalk.models.dit import DiT
from ropewalk.models.dropout_module import Draws
from ropewalk.models.forecast_heads_module import DiffusionHead, GaussianHead, QuantileHead
from ropewalk.models.forecaster import Forecaster, ForecastShape, WindowShape
from ropewalk.models.forecaster_module import ForecastModule, load_forecaster, save_forecaster
from ropewalk.models.lstm import LSTM
from ropewalk.models.model import load_model
from ropewalk.models.series_transformer import SeriesTransformer
from ropewalk.optim.muon import Muon

WINDOW = WindowShape(context=10, horizon=3, channels=4, known=2)
MODELS = [
    LSTM(width=8),
    LSTM(width=8, head="gaussian", depth=2, highway=False),
    SeriesTransformer(width=8, heads=2, patch=4),
    SeriesTransformer(width=8, heads=2, head="gaussian"),
    DiT(width=8, heads=2, samples=8, sampling_steps=3),
]
each = pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.tag}-{getattr(model, 'head', 'diffusion')}")
LEVELS = torch.tensor([0.1, 0.5, 0.9])


def window(rows: int = 6) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = ((rows, 10, 4), (rows, 3, 2), (rows, 3))
    past, known, target = (torch.randn(shape, generator=generator) for shape in shapes)
    return past, known, target, torch.arange(rows) + 11


def stirred(model: Forecaster) -> ForecastModule:
    """A module off its first weights, which tell nothing of the window."""
    module = model.build(WINDOW, 3)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return module


@each
def test_equal_seeds_give_equal_weights_and_others_others(model: Forecaster) -> None:
    first, same, other = (torch.nn.utils.parameters_to_vector(model.build(WINDOW, seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)


@each
def test_parts_of_a_batch_have_the_whole_batchs_loss(model: Forecaster) -> None:
    module, (past, known, target, keys) = stirred(model).eval(), window()
    whole = module.loss_sum(past, known, target, keys)
    parts = sum(module.loss_sum(past[s], known[s], target[s], keys[s]) for s in (slice(0, 1), slice(1, 4), slice(4, 6)))
    torch.testing.assert_close(whole, parts)


@each
def test_recomputed_activations_give_the_same_gradient(model: Forecaster) -> None:
    found = []
    for again in (False, True):
        module = stirred(model).train()
        module.checkpointing = again
        module.draws.rows = tuple(range(6))
        module.loss_sum(*window()).backward()  # type: ignore[no-untyped-call]
        found.append(torch.cat([parameter.grad.flatten() for parameter in module.parameters() if parameter.grad is not None]))
    assert torch.equal(*found) and found[0].abs().sum() > 0


@each
def test_quantiles_rise_and_do_not_depend_on_the_batch(model: Forecaster) -> None:
    module, (past, known, _, keys) = stirred(model).eval(), window()
    with torch.no_grad():
        whole = module.quantiles(past, known, LEVELS, keys)
        alone = module.quantiles(past[2:3], known[2:3], LEVELS, keys[2:3])
    assert whole.shape == (6, 3, 3) and (whole.diff(dim=2) >= 0).all()
    torch.testing.assert_close(whole[2:3], alone)


@each
def test_a_folder_comes_back(model: Forecaster, tmp_path: Path) -> None:
    module = stirred(model).eval()
    save_forecaster(tmp_path, module)
    loaded = load_forecaster(tmp_path)
    assert loaded.shape == module.shape and not loaded.training
    past, known, _, keys = window()
    with torch.no_grad():
        assert torch.equal(loaded.quantiles(past, known, LEVELS, keys), module.quantiles(past, known, LEVELS, keys))
    assert isinstance(load_model(tmp_path), ForecastModule)


@pytest.mark.parametrize(("old", "new"), [('"width": 8', '"width": 16'), ("ropewalk_forecaster_", "other_"), ('"body"', '"boddy"')])
def test_a_folder_that_does_not_fit_is_refused(tmp_path: Path, old: str, new: str) -> None:
    save_forecaster(tmp_path, MODELS[0].build(WINDOW, 0))
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace(old, new))
    with pytest.raises(DataError):
        load_forecaster(tmp_path)


def test_muon_takes_hidden_matrices_and_leaves_embeddings_and_heads_to_adam() -> None:
    named = list(stirred(MODELS[4]).named_parameters())
    state = Muon().build(named).state()
    hidden = {name.removeprefix("momentum.") for name in state if "momentum" in name}
    assert any("qkv" in name for name in hidden) and not any("head" in name or "embed" in name for name in hidden)


def shape(levels: tuple[float, ...] = (0.1, 0.5, 0.9), **more: int) -> ForecastShape:
    return ForecastShape("transformer", "diffusion", 32, 1, WindowShape(1, 1, 2, 0), levels, heads=2, **more)


def trained(head: torch.nn.Module, target: Tensor, steps: int) -> None:
    """Fit a head alone to draws of one distribution."""
    states, shift = torch.zeros(len(target), 1, 32), torch.zeros(len(target), 1)
    optimizer = torch.optim.Adam(head.parameters(), 0.02)
    for step in range(steps):
        optimizer.zero_grad()
        (head.loss_sum(states, shift, target, torch.arange(len(target)) + 1000 * step) / len(target)).backward()  # type: ignore[operator]
        optimizer.step()


@pytest.mark.parametrize("kind", ["quantile", "gaussian", "diffusion"])
def test_a_head_learns_the_spread_of_what_it_sees(kind: str) -> None:
    torch.manual_seed(0)
    target = 0.3 + 0.1 * torch.randn(256, 1)
    head = {
        "quantile": lambda: QuantileHead(shape()),
        "gaussian": lambda: GaussianHead(shape()),
        "diffusion": lambda: DiffusionHead(shape(samples=2000, sampling_steps=10), Draws()),
    }[kind]()
    trained(head, target, 120 if kind == "diffusion" else 300)
    with torch.no_grad():
        low, middle, high = head.quantiles(torch.zeros(1, 1, 32), torch.zeros(1, 1), LEVELS, torch.tensor([5]))[0, 0].tolist()
    assert middle == pytest.approx(0.3, abs=0.04) and high - low == pytest.approx(0.256, rel=0.2)


def test_levels_between_and_beyond_those_learned_follow_the_normal_distribution() -> None:
    head = QuantileHead(shape())
    with torch.no_grad():
        head.begin()
        found = head.quantiles(torch.zeros(1, 1, 32), torch.zeros(1, 1), torch.tensor([0.05, 0.3, 0.95]), torch.zeros(1))[0, 0]
    torch.testing.assert_close(found, torch.special.ndtri(torch.tensor([0.05, 0.3, 0.95])), atol=1e-5, rtol=0)
