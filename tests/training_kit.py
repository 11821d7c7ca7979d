"""What the trainer's tests share: a tiny store of tokens, a tiny decoder with dropout, and a run that keeps what it was told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ropewalk.core.artifact import Manifest
from ropewalk.core.events import Event, StopRequest
from ropewalk.data.loader import Loader
from ropewalk.data.pack import plan as pack
from ropewalk.data.tokens import TokenFacts, Tokens
from ropewalk.hardware.memory import MicroBatch
from ropewalk.models.gpt_module import Decoder
from ropewalk.models.shape import Shape
from ropewalk.optim.adamw import AdamW
from ropewalk.optim.optimizer import Optimizer, Update
from ropewalk.optim.schedules import Cosine, Schedule
from ropewalk.tasks.lm import LanguageModelling
from ropewalk.tasks.task import Task
from ropewalk.train.checkpoint import Checkpoints, restore
from ropewalk.train.listeners.event_log import EventLog
from ropewalk.train.loop import Evaluator, train
from ropewalk.train.plan import Plan
from ropewalk.train.saver import CheckpointSaver
from ropewalk.train.state import TrainState

VOCAB = 24
SHAPE = Shape(depth=2, width=16, heads=2, kv_heads=1, head_width=8, mlp_width=24, context=64, dropout=0.1)
PLAIN = replace(SHAPE, dropout=0.0)


def make_tokens(
    folder: Path,
    lengths: Sequence[int],
    length: int,
    packing: Any = "best_fit",
    *,
    trained: Sequence[int] | None = None,
    holdout: int = 0,
    attend: Any = "document",
) -> Tokens:
    """Documents of so many tokens (BOS and EOS included), the last `holdout` of them held out.

    `trained[i]` says how many of document i's last tokens are trained; all that can be when left out.
    """
    generator = np.random.default_rng(len(lengths))
    folder.mkdir(parents=True)
    sizes = np.asarray(lengths, np.int64)
    offsets = np.cumsum(sizes) - sizes
    ids = generator.integers(2, VOCAB, int(sizes.sum())).astype(np.uint16)
    ids[offsets], ids[offsets + sizes - 1] = 0, 1
    ids.tofile(folder / "tokens.bin")
    mask = None
    if trained is not None:
        mask = np.zeros(len(ids), np.uint8)
        for end, count in zip(offsets + sizes, trained, strict=True):
            mask[end - count : end] = 1
        mask.tofile(folder / "mask.bin")
    border = len(sizes) - holdout
    for split, part in (("train", slice(0, border)), ("holdout", slice(border, None))):
        planned = pack(offsets[part], sizes[part] - 1, length, packing, mask)
        (folder / split).mkdir()
        for name in ("segments", "starts", "trained"):
            np.save(folder / split / f"{name}.npy", getattr(planned, name))
    TokenFacts("uint16", VOCAB, length, 0, 1, 1, "xxh3:none", packing, attend).write(folder)
    return Tokens(folder, Manifest("Tokens"))


def make_state(shape: Shape = SHAPE, optimizer: Optimizer | None = None, *, average: bool = False, seed: int = 0) -> TrainState:
    """A fresh state; equal arguments give equal bits. The output is not zero, as it is in a new model: losses must differ."""
    module = Decoder(shape, VOCAB, seed)
    for index, (name, parameter) in enumerate(module.named_parameters()):
        if name.endswith(("out.weight", "down.weight")):
            parameter.data = (np_normal(parameter.shape, index) * 0.2).to(parameter.dtype)
    named = list(module.named_parameters())
    copy = {name: parameter.detach().clone() for name, parameter in named} if average else None
    return TrainState(module, (optimizer or AdamW(lr=0.01)).build(named), copy)


def np_normal(shape: Sequence[int], seed: int) -> Tensor:
    import torch

    return torch.from_numpy(np.random.default_rng(seed).normal(size=tuple(shape)).astype(np.float32))


class Grabbed:
    """An update that moves nothing and keeps the gradients it was given."""

    def __init__(self, state: TrainState) -> None:
        self.model, self.seen, self.factors = state.model, [], []  # type: ignore[var-annotated]

    def step(self, factor: float) -> None:
        self.factors.append(factor)
        self.seen.append({n: p.grad.clone() for n, p in self.model.named_parameters() if p.grad is not None})

    def zero_grad(self) -> None:
        self.model.zero_grad()

    def state(self) -> dict[str, Tensor]:
        return {}

    def load(self, state: dict[str, Tensor]) -> None:
        assert not state


def grabbing(shape: Shape = PLAIN) -> tuple[TrainState, Grabbed]:
    """A state whose update only looks."""
    state = make_state(shape)
    update = Grabbed(state)
    as_update: Update = update
    state.update = as_update
    return state, update


@dataclass(frozen=True)
class KitPlan(Plan):
    """With the micro-batch to begin with."""

    micro_batch: int = 4


def plan(total_steps: int, **changed: Any) -> KitPlan:
    """A plan for tests: no clipping and no saving unless asked for."""
    chosen = {"learning_rate": 0.01, "seed": 5, "device": "cpu", "clip": None, "save_every": 10**9, **changed}
    return KitPlan(total_steps, **chosen)


class Run:
    """One training run in a folder: events, checkpoints and log; `go` trains, from the newest checkpoint if there is one."""

    def __init__(self, folder: Path, keep: int = 99, *, background: bool = False) -> None:
        self.background = background
        self.checkpoints = Checkpoints(folder / "checkpoints", keep)
        self.log_path = folder / "training.jsonl"
        self.events: list[Event] = []

    def go(
        self,
        state: TrainState,
        loader: Loader,
        plan: KitPlan,
        *,
        task: Task | None = None,
        schedule: Schedule | None = None,
        evaluate: Evaluator | None = None,
        listener: Callable[[Event], StopRequest | None] = lambda event: None,
        **more: Any,
    ) -> TrainState:
        log = EventLog(self.log_path, state.log_offset)

        def tell(event: Event) -> StopRequest | None:
            self.events.append(event)
            log(event)
            return listener(event)

        saver = CheckpointSaver(self.checkpoints, log.sync, background=self.background)
        self.sizes = MicroBatch(plan.micro_batch)

        def back() -> bool:
            found = self.checkpoints.newest()
            if found is None:
                return False
            restore(state, found.path)
            log.cut(state.log_offset)
            return True

        try:
            rate, chosen = schedule or Cosine(warmup=0.2), task or LanguageModelling()
            train(
                state,
                loader,
                chosen,
                rate,
                plan,
                tell=tell,
                saver=saver,
                sizes=self.sizes,
                evaluate=evaluate,
                rollback=back,
                **more,
            )
        finally:
            log.close()
        return state

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def weights(state: TrainState) -> dict[str, bytes]:
    """Every tensor of a state, as bytes."""
    tensors = {**state.model.state_dict(), **state.update.state(), **{f"average.{n}": t for n, t in (state.average or {}).items()}}
    return {name: tensor.detach().numpy().tobytes() for name, tensor in tensors.items()}
