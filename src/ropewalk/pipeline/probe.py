"""A short probe of a training stage: a few real micro-batches in a process of its own tell time and memory before the run.

What it found is kept in the store (`.probes/`), so that a machine is asked once for each model, batch and optimizer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ropewalk.core.artifact import digest, write_durably
from ropewalk.core.component import as_tree
from ropewalk.core.measure import peak_bytes
from ropewalk.core.workers import run_in_processes
from ropewalk.hardware.memory import available_bytes
from ropewalk.hardware.precision import autocast_type
from ropewalk.hardware.threads import cpu_threads
from ropewalk.models.architecture import Architecture
from ropewalk.optim.optimizer import Optimizer
from ropewalk.pipeline.environment import environment
from ropewalk.tasks.task import Task, TorchBatch

if TYPE_CHECKING:
    from ropewalk.models.gpt_module import Decoder

PROBE_SECONDS = 2.0
MOST_ROUNDS = 5
SPARE_BYTES = 400 << 20  # Python, torch and what a step needs besides


@dataclass(frozen=True)
class Probe:
    """What is tried: one micro-batch of this model, task and optimizer."""

    model: Architecture
    vocab_size: int
    optimizer: Optimizer
    task: Task
    micro_batch: int
    length: int
    device: str
    precision: str
    threads: int | None
    recompute: bool
    certain_bytes: int
    """Weights, gradients and optimizer, as the estimate counts them."""

    def key(self) -> str:
        tree = {name: as_tree(value) if isinstance(value, Architecture | Optimizer | Task) else value for name, value in vars(self).items()}
        known = environment()
        return digest({**tree, "machine": [known[name] for name in ("versions", "python", "machine", "cores")]})


@dataclass(frozen=True)
class Measured:
    """What the probe found; seconds are 0 where the model does not fit and was only counted on the meta device."""

    activation_bytes: int
    """Held between forward and backward for one micro-batch, weights left out."""
    micro_batch_seconds: float = 0.0
    """Forward and backward of one micro-batch."""
    forward_seconds: float = 0.0
    update_seconds: float = 0.0
    """One step of the optimizer."""
    peak_bytes: int = 0
    """Of the whole process (CPU), or allocated on the device."""


def probed(probe: Probe, store: Path, setup: Callable[[], None]) -> Measured:
    """The kept answer, or a probe in a new process."""
    place = store / ".probes" / f"{probe.key()}.json"
    try:
        return Measured(**json.loads(place.read_bytes()))
    except (OSError, ValueError, TypeError):
        pass
    (_, found), *_ = run_in_processes(run_probe, [probe], 1, setup)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_durably(place, json.dumps(asdict(found)).encode())
    return found  # type: ignore[no-any-return]


def run_probe(probe: Probe) -> Measured:
    """In this process: counts activations on the meta device, then trains a few micro-batches of random tokens."""
    activations = _saved_bytes(probe)
    if probe.certain_bytes + activations + SPARE_BYTES > available_bytes(probe.device):
        return Measured(activations)
    with cpu_threads(probe.threads):
        return Measured(activations, **_timed(probe))


def _saved_bytes(probe: Probe) -> int:
    """Bytes held for the backward pass; with recomputation each block keeps its input, and one at a time all it needs."""
    shape = probe.model.shape()
    if not probe.recompute:
        return counted_bytes(probe, shape.depth)
    one, two = counted_bytes(probe, 1), counted_bytes(probe, 2)
    return one + shape.depth * 4 * probe.micro_batch * probe.length * shape.width + (two - one if shape.depth > 1 else 0)


def counted_bytes(probe: Probe, depth: int) -> int:
    """What autograd keeps of a forward pass through so many blocks: counted on the meta device, without computing anything."""
    import torch
    from torch.overrides import TorchFunctionMode

    from ropewalk.models.gpt_module import Decoder

    class Fused(torch.autograd.Function):
        """Attention as the fused kernels keep it: queries, keys, values and the result; the meta device knows only the plain one."""

        @staticmethod
        def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
            mixed = torch.empty_like(query)
            ctx.save_for_backward(query, key, value, mixed)
            return mixed

    class FusedAttention(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function is torch.nn.functional.scaled_dot_product_attention:
                return Fused.apply(*args[:3])  # type: ignore[no-untyped-call]
            return function(*args, **(kwargs or {}))

    with torch.device("meta"):
        module = Decoder(replace(probe.model.shape(), depth=depth), probe.vocab_size).train()
    weights = {id(storage): storage for storage in (parameter.untyped_storage() for parameter in module.parameters())}
    kept: dict[int, torch.UntypedStorage] = {}  # two views of one storage count once

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in weights:
            kept[id(storage)] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), _context(probe), FusedAttention():
        hidden = module(torch.zeros(probe.micro_batch, probe.length, dtype=torch.long, device="meta"))
    return sum(storage.nbytes() for storage in kept.values()) + int(hidden.numel()) * 4


def _timed(probe: Probe) -> Mapping[str, Any]:
    import torch

    module = probe.model.build(probe.vocab_size, 0).to(probe.device).train()
    module.checkpointing = probe.recompute
    update = probe.optimizer.build(list(module.named_parameters()))
    batch = _batch(probe)
    rounds: list[tuple[float, float, float]] = []
    began = time.perf_counter()
    while len(rounds) < 2 or (len(rounds) < MOST_ROUNDS and time.perf_counter() - began < PROBE_SECONDS):
        rounds.append(_round(probe, module, update, batch))
    forward, both, step = (min(column) for column in zip(*rounds[1:], strict=True))
    cuda = probe.device.startswith("cuda")
    peak = torch.cuda.max_memory_allocated(probe.device) if cuda else peak_bytes()
    return {"micro_batch_seconds": both, "forward_seconds": forward, "update_seconds": step, "peak_bytes": peak}


def _round(probe: Probe, module: Decoder, update: Any, batch: TorchBatch) -> tuple[float, float, float]:
    """Seconds of forward, of forward and backward, and of the update."""
    import torch

    started = time.perf_counter()
    with _context(probe):
        loss = probe.task.loss(module, batch)
    forward = _clock(probe.device) - started
    torch.autograd.backward(loss.total / loss.weight)
    both = _clock(probe.device) - started
    update.step(1.0)
    update.zero_grad()
    return forward, both, _clock(probe.device) - started - both


def _batch(probe: Probe) -> TorchBatch:
    """Random tokens, two documents a row, so that attention is masked as it is in packed data."""
    import torch

    draw = np.random.default_rng(0)
    shape = (probe.micro_batch, probe.length)
    half = max(1, probe.length // 2)
    places = np.arange(probe.length)
    positions = np.broadcast_to(np.where(places < half, places, places - half), shape)
    documents = np.broadcast_to((places >= half).astype(np.int32) + 1, shape)
    tokens, targets = (torch.from_numpy(draw.integers(0, probe.vocab_size, shape)).to(probe.device) for _ in range(2))
    where = [torch.from_numpy(np.ascontiguousarray(values)).to(probe.device) for values in (positions, documents)]
    return TorchBatch(tokens, targets, where[0], where[1], None, probe.micro_batch * probe.length)


def _context(probe: Probe) -> Any:
    import torch

    kind = autocast_type(probe.precision)
    return torch.autocast(probe.device.partition(":")[0], kind or torch.bfloat16, enabled=kind is not None)


def _clock(device: str) -> float:
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)
    return time.perf_counter()
