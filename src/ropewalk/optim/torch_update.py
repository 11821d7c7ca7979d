"""A torch optimizer as an Update: its state by parameter names, flat, as tensors only, so that it resumes bit for bit.

A number in its state becomes a tensor whose name ends in its kind: `state.norm.weight.step#int`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ropewalk.core.errors import CheckpointError
from ropewalk.optim.optimizer import Named

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

_KINDS: dict[str, Any] = {"int": int, "float": float, "bool": bool, "none": lambda value: None}


class TorchUpdate:
    """Learning rates are the groups' own times the factor."""

    def __init__(self, optimizer: Optimizer, parameters: Named) -> None:
        self.optimizer, self.parameters = optimizer, dict(parameters)
        self.rates = [group["lr"] for group in optimizer.param_groups]

    def step(self, factor: float) -> None:
        if all(parameter.grad is None for parameter in self.parameters.values()):
            return
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.step()

    def zero_grad(self) -> None:
        for parameter in self.parameters.values():
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """What the optimizer keeps for each parameter, how much that is, and the numbers of its groups (some count steps there)."""
        found: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            own = _flat(self.optimizer.state.get(parameter, {}), f"state.{name}")
            found.update(own)
            found[f"entries.{name}#int"] = _number(len(own))
        for index, group in enumerate(self.optimizer.param_groups):
            changed = {key: value for key, value in group.items() if key != "lr" and _is_number(value)}
            found.update(_flat(changed, f"group.{index}"))
        return found

    def load(self, state: dict[str, Tensor]) -> None:
        kept: dict[str, dict[str, Tensor]] = {name: {} for name in self.parameters}
        groups: list[dict[str, Tensor]] = [{} for _ in self.optimizer.param_groups]
        longest = sorted(kept, key=len, reverse=True)  # a name may begin with another
        for key, tensor in state.items():
            part, _, rest = key.partition(".")
            owner = next((name for name in longest if rest.startswith((f"{name}.", f"{name}#"))), "")
            if part == "state" and owner:
                kept[owner][rest.removeprefix(f"{owner}.")] = tensor
            elif part == "group" and int(rest.partition(".")[0]) < len(groups):
                groups[int(rest.partition(".")[0])][rest.partition(".")[2]] = tensor
            elif part != "entries" or not owner:
                raise KeyError(key)
        for name, found in kept.items():
            if int(state[f"entries.{name}#int"]) != len(found):
                raise KeyError(f"state.{name}")
        self.optimizer.state.clear()
        for name, found in kept.items():
            if found:
                self.optimizer.state[self.parameters[name]] = _nested(found)
        for group, numbers in zip(self.optimizer.param_groups, groups, strict=True):
            group.update(_nested(numbers))


def _is_number(value: object) -> bool:
    return isinstance(value, bool | int | float)


def _number(value: float) -> Tensor:
    import torch

    return torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else torch.int64)


def _flat(value: Any, name: str) -> dict[str, Tensor]:
    """Tensors and numbers of nested dicts and lists, by their path."""
    import torch

    if isinstance(value, torch.Tensor):
        return {name: value}
    if value is None:
        return {f"{name}#none": _number(0)}
    if _is_number(value):
        return {f"{name}#{type(value).__name__}": _number(value)}
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
        if not items:
            return {f"{name}#empty": _number(0)}
    else:
        raise CheckpointError(f"the optimizer keeps a {type(value).__name__} ({name}), which can't be saved", remedy="choose another one")
    return {key: tensor for inner, each in items for key, tensor in _flat(each, f"{name}.{inner}").items()}


def _nested(flat: dict[str, Tensor]) -> Any:
    """What `_flat` took apart; names that are all numbers make a list."""
    tree: dict[str, Any] = {}
    for path, tensor in flat.items():
        path, _, kind = path.partition("#")
        *above, last = path.split(".")
        place = tree
        for part in above:
            place = place.setdefault(part, {})
        place[last] = [] if kind == "empty" else _KINDS[kind](tensor.item()) if kind else tensor.clone()
    return _lists(tree)


def _lists(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    found = {key: _lists(value) for key, value in tree.items()}
    if found and all(key.isdigit() for key in found):
        return [found[key] for key in sorted(found, key=int)]
    return found
