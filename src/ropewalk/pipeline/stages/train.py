"""The train stage: builds what the loop needs, runs it, and makes the Model. Tasks, models and optimizers are fields."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ropewalk.core.artifact import Artifact
from ropewalk.core.component import RUNTIME, SAFE, as_tree
from ropewalk.core.errors import ChangedRun, CheckpointError, DataError
from ropewalk.core.events import Event, Recovered, Started, StopRequest
from ropewalk.core.reference import Ref
from ropewalk.core.seed import derive
from ropewalk.data.loading import Loading
from ropewalk.data.mixed_loader import open_loader
from ropewalk.data.mixture import Mixture
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.data.tokens import Split, Tokens
from ropewalk.hardware.device import pick_device
from ropewalk.hardware.memory import default_micro_batch
from ropewalk.hardware.precision import resolve_precision
from ropewalk.hardware.threads import cpu_threads
from ropewalk.models.architecture import Architecture
from ropewalk.models.model import Model
from ropewalk.optim.optimizer import Optimizer
from ropewalk.optim.schedules import Schedule
from ropewalk.pipeline.stage import Context, Facts, Stage
from ropewalk.tasks.task import Task
from ropewalk.train.settings import BatchSize, Budget, EarlyStopping, Evaluation, Saving

if TYPE_CHECKING:
    from ropewalk.data.loader import Loader
    from ropewalk.data.mixed_loader import MixedLoader
    from ropewalk.models.gpt_module import Decoder
    from ropewalk.train.checkpoint import Checkpoints
    from ropewalk.train.loop import Evaluator, Plan
    from ropewalk.train.state import TrainState

LOG_FILE = "training.jsonl"


class Train(Stage, type="train"):
    """Trains a new model, or goes on with one, and makes a Hugging Face folder."""

    makes: ClassVar[type[Artifact]] = Model
    seeded: ClassVar[bool] = True

    data: Ref[Tokens | Mixture]
    """Tokens from pack, windows or render, or a mixture of them; their tokenizer goes into the model."""
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
    on_not_finite: Annotated[Literal["stop", "skip"], SAFE] = "stop"
    """When a loss or gradient is NaN or infinite: stop before the update, or leave the batch out and count it."""
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
        """The precision that `auto` means here, and the micro-batch where dropout draws by it: both shape the weights."""
        found: dict[str, Any] = {"precision": resolve_precision(self.precision, pick_device(self.device))}
        if self.model is not None and self.model.shape().dropout:
            found["micro_batch"] = self.batch.micro_batch or "auto"
        return found

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        data = upstream.get("data")
        facts = as_tree(data) if isinstance(data, Stage) else {}
        length = data.length if isinstance(data, Tokens | Mixture) else facts.get("length", 0)
        start = upstream.get("init")
        if self.model is not None:
            context = self.model.shape().context
        elif isinstance(start, Train) and start.model is not None:
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

        with ExitStack() as stack:
            stack.enter_context(cpu_threads(self.threads))
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
        sequences, seed = self.batch.num_sequences(tokens.length), derive(context.seed, "order")
        loader = open_loader(tokens, "train", sequences, seed, drop_last=self.loading.drop_last)
        device = pick_device(self.device)
        module = self._module(context, tokens, device)
        state = self._state(module)
        checkpoints = Checkpoints(context.work / "checkpoints", self.save.keep)
        plan = self._plan(context, tokens, loader, device)
        loader = loader.over(plan.total_steps)
        self._resume(context, state, checkpoints, plan.total_steps)
        judge = self._evaluator(context, tokens, module, plan)

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

        a_step = loader.tokens_per_epoch / loader.steps_per_epoch
        facts = {
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
            "tokens": round(plan.total_steps * a_step),
            "predicted": round(plan.total_steps * loader.trained_per_epoch / loader.steps_per_epoch),
            "batch": loader.batch_sequences,
            "micro_batch": plan.micro_batch,
            "device": device,
            "precision": resolve_precision(self.precision, device),
        }
        tell(Started(state.step, plan.total_steps, facts))
        with StopSignals() as signals, self.loading.start(loader) as batches:
            train(
                state, batches, self.task, self.schedule, plan, tell=tell, save=save, evaluate=judge, interrupted=lambda: signals.received
            )
        self._take_result(state, checkpoints)
        save_model(context.out, module, tokens.tokenizer_path)
        shutil.copyfile(context.work / LOG_FILE, context.out / LOG_FILE)
        last = {name: value for name, value in state.metrics.items() if math.isfinite(value)}
        best = {"best_holdout_loss": state.best, "best_step": state.best_step} if state.best is not None else {}
        numbers = {"parameters": facts["parameters"], "steps": state.step, "tokens": state.tokens, "skipped_updates": state.skipped}
        return Facts(metrics={**numbers, **last, **best})

    def _module(self, context: Context, tokens: Tokens | Mixture, device: str) -> Decoder:
        """A new model, or the one to go on with; it must fit the data's tokenizer and length."""
        if self.model is not None:
            module = self.model.build(tokens.facts.vocab_size, derive(context.seed, "model")).to(device)
        else:
            assert self.init is not None
            start = context.open(self.init)
            if Vocabulary(start.tokenizer_path).key != tokens.facts.tokenizer_key:
                raise DataError(
                    f"{context.name}: {self.data.target} was encoded by another tokenizer than that of {self.init.target}",
                    remedy="make the data with the tokenizer that the model was trained with",
                )
            module = start.load(device)
        if tokens.length > module.shape.context:
            raise DataError(
                f"{context.name}: sequences of {tokens.length} tokens are longer than the model's context of {module.shape.context}",
                remedy=f"set length: {module.shape.context} in the stage that makes {self.data.target}",
            )
        return module

    def _state(self, module: Decoder) -> TrainState:
        from ropewalk.train.state import TrainState

        named = list(module.named_parameters())
        average = {name: parameter.detach().clone() for name, parameter in named} if self.average else None
        return TrainState(module, self.optimizer.build(named), average)

    def _resume(self, context: Context, state: TrainState, checkpoints: Checkpoints, total_steps: int) -> None:
        """Fill the state from the newest valid checkpoint, and say so when newer ones are damaged."""
        from ropewalk.train.checkpoint import restore

        found = checkpoints.newest()
        if found is None:
            return
        restore(state, found.path)
        for reason in found.skipped:
            context.tell(Recovered(state.step, f"checkpoint left out: {reason}"))
            context.log.warning("%s: checkpoint left out: %s", context.name, reason)
        if state.step > total_steps:
            raise ChangedRun(
                f"{context.name}: {found.path} is past the budget: {state.step} steps, and {total_steps} are wanted now",
                remedy="give a budget that is no smaller, or --restart to train this stage from its beginning",
            )

    def _plan(self, context: Context, tokens: Tokens | Mixture, loader: Loader | MixedLoader, device: str) -> Plan:
        import torch

        from ropewalk.train.loop import Plan

        total = self.budget.total_steps(loader.steps_per_epoch, loader.tokens_per_epoch)
        held_out = tokens.num_sequences("holdout")
        if self.early_stopping and not held_out:
            raise DataError(f"{context.name}: early stopping needs held-out data", remedy="set holdout in the stage that makes the data")
        precision = resolve_precision(self.precision, device)
        return Plan(
            total_steps=total,
            micro_batch=self.batch.micro_batch or default_micro_batch(loader.batch_sequences, tokens.length, device),
            learning_rate=self.optimizer.lr,
            seed=context.seed,
            device=device,
            autocast=torch.bfloat16 if precision == "bf16" else None,
            clip=self.clip,
            evaluate_every=self.evaluate.interval(total) if held_out else 0,
            save_every=self.save.every,
            save_best=self.result == "best",
            patience=self.early_stopping.patience if self.early_stopping else None,
            average_decay=self.average or 0.0,
            on_not_finite=self.on_not_finite,
        )

    def _evaluator(self, context: Context, tokens: Tokens | Mixture, module: Decoder, plan: Plan) -> Evaluator | None:
        """Loss of fixed held-out sequences and of as many fixed training ones."""
        from ropewalk.tasks.measure import mean_loss
        from ropewalk.train.loop import precision

        if not plan.evaluate_every:
            return None
        seed = derive(context.seed, "evaluation")
        wanted = min(self.evaluate.sequences, tokens.num_sequences("holdout"), tokens.num_sequences("train"))
        sides: dict[str, Split] = {"holdout_loss": "holdout", "train_loss": "train"}
        loaders = {name: open_loader(tokens, split, wanted, seed, even=True) for name, split in sides.items()}

        def measured() -> dict[str, float]:
            return {
                name: mean_loss(self.task, module, loader, plan.micro_batch, plan.device, precision(plan))
                for name, loader in loaders.items()
            }

        return measured

    def _take_result(self, state: TrainState, checkpoints: Checkpoints) -> None:
        """Put the weights that are asked for into the module: the best or the last, averaged where an average is kept."""
        from ropewalk.train.checkpoint import damage, load_weights

        if self.result == "best" and state.best_step and state.best_step != state.step:
            best = checkpoints.place(state.best_step)
            if wrong := damage(best):
                raise CheckpointError(
                    f"{best}: the best weights can't be used: {'; '.join(wrong)}",
                    remedy="restore the folder from a copy, or --restart to train this stage from its beginning",
                )
            load_weights(state.model, best, averaged=state.average is not None)
        elif state.average is not None:
            for name, parameter in state.model.named_parameters():
                parameter.data.copy_(state.average[name])
