"""The train stage: builds what the loop needs, runs it, and makes the Model. Tasks, models and optimizers are fields."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import RUNTIME, SAFE, as_tree
from ropewalk.core.errors import ConfigError, DataError
from ropewalk.core.events import Event, Recovered, Started, StopRequest
from ropewalk.core.reference import Ref
from ropewalk.core.seed import derive
from ropewalk.data.loader import Loader
from ropewalk.data.tokens import Tokens
from ropewalk.hardware.device import pick_device
from ropewalk.hardware.memory import default_micro_batch
from ropewalk.hardware.precision import resolve_precision
from ropewalk.models.architecture import Architecture
from ropewalk.models.model import Model
from ropewalk.optim.optimizer import Optimizer
from ropewalk.optim.schedules import Schedule
from ropewalk.pipeline.stage import Context, Facts, Stage
from ropewalk.tasks.task import Task
from ropewalk.train.settings import BatchSize, Budget, EarlyStopping, Evaluation, Saving

if TYPE_CHECKING:
    from ropewalk.models.gpt_module import Decoder
    from ropewalk.train.loop import Evaluator, Plan
    from ropewalk.train.state import TrainState

LOG_FILE = "training.jsonl"


class Train(Stage, type="train"):
    """Trains a new model, or goes on with one, and makes a Hugging Face folder."""

    makes: ClassVar[type[Artifact]] = Model
    seeded: ClassVar[bool] = True

    data: Ref[Tokens]
    """Tokens from pack or render; their tokenizer goes into the model."""
    task: Task = Field(default="lm", validate_default=True)
    """What is learned from them."""
    model: Architecture | None = None
    """The shape of a new model; give this or init."""
    init: Ref[Model] | None = None
    """The model to go on with; give this or model."""
    optimizer: Optimizer = Field(default="adamw", validate_default=True)
    """How gradients become updates."""
    schedule: Schedule = Field(default="cosine", validate_default=True)
    """The learning rate's course over the whole budget."""
    budget: Annotated[Budget, SAFE]
    """How long to train, in tokens, steps or epochs."""
    batch: BatchSize = BatchSize()
    """What one update sees."""
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest norm of the gradient; null leaves it as it is."""
    average: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of an exponential moving average of the weights, such as 0.999, which is then evaluated and kept."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Number format of the matrix products; weights and optimizer stay in fp32."""
    evaluate: Evaluation = Evaluation()
    """Held-out loss on the way."""
    early_stopping: EarlyStopping | None = None
    """Whether to end when the held-out loss no longer falls."""
    result: Literal["best", "last"] = "best"
    """Which weights the model gets: those of the best evaluation (the last, where nothing is held out) or the last ones."""
    save: Annotated[Saving, SAFE] = Saving()
    """Checkpoints."""
    on_not_finite: Annotated[Literal["stop", "skip"], SAFE] = "stop"
    """When a loss or gradient is NaN or infinite: stop before the update, or leave the batch out and count it."""
    device: Annotated[str, RUNTIME] = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:1`."""
    threads: Annotated[Annotated[int, Field(gt=0)] | None, RUNTIME] = None
    """CPU threads; torch's own choice when left out. Another number gives the same model within 1e-6."""

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if (self.model is None) == (self.init is None):
            raise ValueError("needs model (a new one) or init (one to go on with), not both" if self.model else "needs model or init")
        return self

    def fingerprint(self) -> Any:
        """The precision that `auto` means here: it shapes the weights."""
        return {"precision": resolve_precision(self.precision, pick_device(self.device))}

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        data = upstream.get("data")
        facts = as_tree(data) if isinstance(data, Stage) else {}
        length = data.length if isinstance(data, Tokens) else facts.get("length", 0)
        start = upstream.get("init")
        shape = self.model or (start.model if isinstance(start, Train) else None)
        context = start.context if isinstance(start, Model) else shape.context if shape else length
        if length > context:
            found.append(("data", f"sequences of {length} tokens are longer than the model's context of {context}"))
        if facts.get("holdout") == 0 and self.early_stopping:
            found.append(("early_stopping", "nothing is held out: set holdout in the stage that makes the data"))
        return found

    def make(self, context: Context) -> Facts:
        import torch

        with ExitStack() as stack:
            stack.enter_context(_threads(self.threads))
            stack.enter_context(torch.random.fork_rng(devices=[]))
            return self._train(context, stack)

    def _train(self, context: Context, stack: ExitStack) -> Facts:
        from ropewalk.models.folder_module import save_model
        from ropewalk.train.checkpoint import Checkpoints
        from ropewalk.train.listeners.console import console
        from ropewalk.train.listeners.event_log import EventLog
        from ropewalk.train.loop import train
        from ropewalk.train.signals import StopSignals

        tokens = context.open(self.data)
        loader = Loader(tokens, "train", self.batch.num_sequences(tokens.length), derive(context.seed, "order"))
        device = pick_device(self.device)
        module = self._module(context, tokens, device)
        state = self._state(module)
        checkpoints = Checkpoints(context.work / "checkpoints", self.save.keep)
        self._resume(context, state, checkpoints)
        plan = self._plan(context, tokens, loader, device)
        evaluate = self._evaluator(context, tokens, module, plan)

        log = EventLog(context.work / LOG_FILE, state.log_offset)
        stack.callback(log.close)
        left = (plan.total_steps - state.step) * loader.tokens_per_epoch / loader.steps_per_epoch
        bar = stack.enter_context(context.progress(context.name, left, "tokens"))
        said = console(context.name, bar, context.log)

        def tell(event: Event) -> StopRequest | None:
            log(event)
            said(event)
            return context.tell(event)

        def save() -> Any:
            state.log_offset = log.sync()
            return checkpoints.save(state)

        facts = {
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
            "sequences a step": loader.batch_sequences,
            "sequences at once": plan.micro_batch,
            "device": device,
            "precision": resolve_precision(self.precision, device),
        }
        tell(Started(state.step, plan.total_steps, facts))
        with StopSignals() as signals:
            train(state, loader, self.task, self.schedule.build_(), plan, tell=tell, save=save, evaluate=evaluate, interrupted=lambda: signals.received)
        return Facts()
