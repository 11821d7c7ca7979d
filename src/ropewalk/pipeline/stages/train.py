"""The train stage: builds what the loop needs, runs it, and makes the Model. Tasks, models and optimizers are fields."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import RUNTIME, SAFE, as_tree
from ropewalk.core.reference import Ref
from ropewalk.data.loading import Loading
from ropewalk.data.mixture import Mixture
from ropewalk.data.series import Series
from ropewalk.data.tokens import Tokens
from ropewalk.hardware.device import pick_device
from ropewalk.hardware.precision import resolve_precision
from ropewalk.hardware.threads import cpu_threads
from ropewalk.models.architecture import Architecture
from ropewalk.models.model import Model
from ropewalk.optim.optimizer import Optimizer
from ropewalk.optim.schedules import Schedule
from ropewalk.pipeline.forecasting import TASK, mismatches
from ropewalk.pipeline.stage import Context, Facts, Stage
from ropewalk.pipeline.stages.init import Init
from ropewalk.tasks.task import Task
from ropewalk.train.faults import Faults
from ropewalk.train.plan import Policy
from ropewalk.train.settings import BatchSize, Budget, EarlyStopping, Evaluation, Samples, Saving

if TYPE_CHECKING:
    pass

LOG_FILE = "training.jsonl"


class Train(Stage, type="train"):
    """Trains a new model, or goes on with one, and makes a Hugging Face folder."""

    makes: ClassVar[type[Artifact]] = Model
    seeded: ClassVar[bool] = True

    data: Ref[Tokens | Mixture | Series]
    """Tokens from pack, windows or render, or a mixture of them, whose tokenizer goes into the model; or Series."""
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
    loading: Loading = Loading()
    """How batches get from the store to the trainer."""
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
    on_not_finite: Annotated[Policy, SAFE] = "stop"
    """When a loss or gradient is NaN or infinite: stop before the update, leave the batch out and count it, or go back to the
    last checkpoint and leave it out from there."""
    on_spike: Annotated[Literal["tell", "stop", "skip", "rollback"], SAFE] = "tell"
    """When a loss or gradient norm is more than six standard deviations above those of the 128 updates before."""
    on_error: Annotated[Literal["abort", "resume"], RUNTIME] = "abort"
    """After an unforeseen error in a step: save and end, or do the step again (four times at most)."""
    recompute: Annotated[bool, RUNTIME] = False
    """Activation checkpointing: each block's activations are computed again on the way back; less memory, a third more work.
    Switched on by itself when memory runs out at a micro-batch of one."""
    samples: Annotated[Samples, RUNTIME] = Samples()
    """Text written at each evaluation, for people to read."""
    faults: Annotated[Faults, RUNTIME] = Faults()
    """Faults on request, to try recovery."""
    device: Annotated[str, RUNTIME] = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:1`."""
    threads: Annotated[Annotated[int, Field(gt=0)] | None, RUNTIME] = None
    """CPU threads; torch's own choice when left out. Another number gives the same model within 1e-6."""

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if (self.model is None) == (self.init is None):
            raise ValueError(f"needs model (a new one) or init (one to go on with){', not both' if self.model else ''}")
        if self.early_stopping and self.evaluate.every == 0:
            raise ValueError("early_stopping needs evaluations, and evaluate.every is 0")
        return self

    def fingerprint(self) -> Any:
        """The precision that `auto` means here: it shapes the weights."""
        return {"precision": resolve_precision(self.precision, pick_device(self.device))}

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        found = mismatches(self, upstream)
        if found or self.task.tag == TASK:
            return found
        data = upstream.get("data")
        facts = as_tree(data) if isinstance(data, Stage) else {}
        length = data.length if isinstance(data, Tokens | Mixture) else facts.get("length", 0)
        start = upstream.get("init")
        if self.model is not None:
            context = self.model.shape().context
        elif isinstance(start, Train | Init) and start.model is not None:
            context = start.model.shape().context
        else:
            context = start.context if isinstance(start, Model) else 0
        if 0 < context < length:
            mend = f"set length: {context} where they are made" + (f", or context: {length} in the model" if self.model else "")
            found.append(("data", f"sequences of {length} tokens are longer than the model's context of {context}: {mend}"))
        if facts.get("holdout") == 0 and self.early_stopping:
            found.append(("early_stopping", "nothing is held out: set holdout in the stage that makes the data"))
        return found

    def make(self, context: Context) -> Facts:
        import torch

        from ropewalk.pipeline.training import Training

        with ExitStack() as stack:
            stack.enter_context(cpu_threads(self.threads))
            stack.enter_context(torch.random.fork_rng(devices=[]))
            return Training(self, context).run(stack)
