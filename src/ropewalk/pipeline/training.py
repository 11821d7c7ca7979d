"""Builds what the training loop needs from a train stage's fields, runs it, and writes the Model's folder."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ropewalk.core.artifact import digest, write_durably
from ropewalk.core.component import as_tree
from ropewalk.core.errors import ChangedRun, CheckpointError, DataError
from ropewalk.core.events import Event, Recovered, Started, StopRequest
from ropewalk.core.seed import derive
from ropewalk.data.mixed_loader import open_loader
from ropewalk.data.series import Series
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.data.tokens import Split
from ropewalk.hardware.device import pick_device
from ropewalk.hardware.memory import MicroBatch, default_micro_batch
from ropewalk.hardware.precision import resolve_precision
from ropewalk.models.folder_module import save_model
from ropewalk.models.generate_module import generate
from ropewalk.pipeline.forecasting import forecast_module, save_with_facts
from ropewalk.pipeline.stage import Context, Facts
from ropewalk.tasks.measure import mean_loss
from ropewalk.train.checkpoint import Checkpoints, damage, load_weights, restore
from ropewalk.train.listeners.console import console
from ropewalk.train.listeners.event_log import EventLog
from ropewalk.train.loop import Evaluator, precision, train
from ropewalk.train.plan import Plan
from ropewalk.train.saver import CheckpointSaver
from ropewalk.train.settings import UNLIMITED, seconds_of
from ropewalk.train.signals import StopSignals
from ropewalk.train.state import TrainState

if TYPE_CHECKING:
    from ropewalk.models.gpt_module import Decoder
    from ropewalk.pipeline.stages.train import Train

LOG_FILE = "training.jsonl"


class Training:
    """One training run: everything that the loop is handed, built once from the stage's fields."""

    def __init__(self, stage: Train, context: Context) -> None:
        self.stage, self.context = stage, context
        self.device = pick_device(stage.device)
        self.tokens = context.open(stage.data)
        sequences = stage.batch.num_sequences(self.tokens.length)
        self.loader = open_loader(self.tokens, "train", sequences, derive(context.seed, "order"), drop_last=stage.loading.drop_last)
        self.module = self._module()
        self.module.checkpointing = stage.recompute
        self.state = self._state()
        self.checkpoints = Checkpoints(context.work / "checkpoints", stage.save.keep)
        self.plan = self._plan()
        self.loader = self.loader.over(self.plan.total_steps)
        self.sizes = MicroBatch(stage.batch.micro_batch or self._remembered(sequences))

    def run(self, stack: ExitStack) -> Facts:
        """Train to the end, save the model into the context's folder, and say what was measured."""
        context, state, stage = self.context, self.state, self.stage
        self._resume()
        log = EventLog(context.work / LOG_FILE, state.log_offset)
        stack.callback(log.close)
        a_step = self.loader.tokens_per_epoch / self.loader.steps_per_epoch
        steps = 0 if self.plan.total_steps == UNLIMITED else self.plan.total_steps - state.step
        bar = stack.enter_context(context.progress(context.name, steps * a_step, "tokens"))
        said = console(context.name, bar, context.log)

        def tell(event: Event) -> StopRequest | None:
            log(event)
            said(event)
            return context.tell(event)

        def back() -> bool:
            found = self.checkpoints.newest()
            if found is None:
                return False
            restore(state, found.path)
            log.cut(state.log_offset)
            return True

        tell(Started(state.step, self.plan.total_steps, self._facts(a_step)))
        saver = CheckpointSaver(self.checkpoints, log.sync, background=stage.save.background)
        if not state.step and "rollback" in (self.plan.on_not_finite, self.plan.on_spike):
            saver.begin(state)
            saver.finished(wait=True)
        signals = stack.enter_context(StopSignals())
        batches = stack.enter_context(stage.loading.start(self.loader))
        train(
            state,
            batches,
            stage.task,
            stage.schedule,
            self.plan,
            tell=tell,
            saver=saver,
            sizes=self.sizes,
            evaluate=self._evaluator(),
            sample=self._sample,
            rollback=back,
            interrupted=lambda: signals.received,
            save_wanted=signals.save_wanted,
            faults=stage.faults,
        )
        self._remember()
        self._take_result()
        if isinstance(self.tokens, Series):
            save_with_facts(context.out, self.module, self.tokens)
        else:
            save_model(context.out, self.module, self.tokens.tokenizer_path)
        shutil.copyfile(context.work / LOG_FILE, context.out / LOG_FILE)
        return Facts(metrics=self._metrics())

    def _note(self) -> Path | None:
        """Where the micro-batch that worked for this model, task and length on this device is written down."""
        if self.context.notes is None:
            return None
        what = [as_tree(self.stage.task), asdict(self.module.shape), self.tokens.length, self.device]
        return self.context.notes / f"micro-batch-{digest(what)}.json"

    def _remembered(self, sequences: int) -> int:
        """The device's own choice, or what an earlier run came down to after memory ran out."""
        usual = default_micro_batch(sequences, self.tokens.length, self.device)
        note = self._note()
        if note is not None and note.is_file():
            with suppress(ValueError, KeyError, TypeError):
                return max(1, min(usual, int(json.loads(note.read_bytes())["micro_batch"])))
        return usual

    def _remember(self) -> None:
        note = self._note()
        if note is not None and self.sizes.retries:
            note.parent.mkdir(parents=True, exist_ok=True)
            write_durably(note, json.dumps({"micro_batch": self.sizes.size}).encode())

    def _facts(self, a_step: float) -> dict[str, Any]:
        known = {} if self.plan.total_steps == UNLIMITED else {"tokens": round(self.plan.total_steps * a_step)}
        if known:
            known["predicted"] = round(self.plan.total_steps * self.loader.trained_per_epoch / self.loader.steps_per_epoch)
        return {
            "parameters": sum(parameter.numel() for parameter in self.module.parameters()),
            **known,
            "batch": self.loader.batch_sequences,
            "micro_batch": self.sizes.size,
            "device": self.device,
            "precision": resolve_precision(self.stage.precision, self.device),
        }

    def _metrics(self) -> dict[str, Any]:
        state = self.state
        last = {name: value for name, value in state.metrics.items() if math.isfinite(value)}
        best = {"best_holdout_loss": state.best, "best_step": state.best_step} if state.best is not None else {}
        numbers = {
            "parameters": sum(parameter.numel() for parameter in self.module.parameters()),
            "steps": state.step,
            "tokens": state.tokens,
            "skipped_updates": state.skipped,
            "checkpoint_bytes": self.checkpoints.size_bytes(),
        }
        eased = {"micro_batch_retries": self.sizes.retries} if self.sizes.retries else {}
        return {**numbers, **({"rollbacks": state.rollbacks} if state.rollbacks else {}), **eased, **last, **best}

    def _module(self) -> Decoder:
        """A new model, or the one to go on with; it must fit the data's tokenizer and length."""
        stage, context, tokens = self.stage, self.context, self.tokens
        if isinstance(tokens, Series):
            return forecast_module(stage, context, tokens, self.device)  # type: ignore[no-any-return]
        if stage.model is not None:
            module = stage.model.build(tokens.facts.vocab_size, derive(context.seed, "model")).to(self.device)
        else:
            assert stage.init is not None, "a train stage has model or init"
            start = context.open(stage.init)
            if Vocabulary(start.tokenizer_path).key != tokens.facts.tokenizer_key:
                raise DataError(
                    f"{context.name}: {stage.data.target} was encoded by another tokenizer than that of {stage.init.target}",
                    remedy="make the data with the tokenizer that the model was trained with",
                )
            module = start.load(self.device)
        if tokens.length > module.shape.context:
            raise DataError(
                f"{context.name}: sequences of {tokens.length} tokens are longer than the model's context of {module.shape.context}",
                remedy=f"set length: {module.shape.context} in the stage that makes {stage.data.target}",
            )
        return module

    def _state(self) -> TrainState:
        named = list(self.module.named_parameters())
        average = {name: parameter.detach().clone() for name, parameter in named} if self.stage.average else None
        return TrainState(self.module, self.stage.optimizer.build(named), average)

    def _resume(self) -> None:
        """Fill the state from the newest valid checkpoint, and say so when newer ones are damaged."""
        context, state = self.context, self.state
        found = self.checkpoints.newest()
        if found is None:
            return
        restore(state, found.path)
        for reason in found.skipped:
            context.tell(Recovered(state.step, f"checkpoint left out: {reason}"))
            context.log.warning("%s: checkpoint left out: %s", context.name, reason)
        if state.step > self.plan.total_steps:
            raise ChangedRun(
                f"{context.name}: {found.path} is past the budget: {state.step} steps, and {self.plan.total_steps} are wanted now",
                remedy="give a budget that is no smaller, or --restart to train this stage from its beginning",
            )

    def _plan(self) -> Plan:
        stage, loader = self.stage, self.loader
        total = stage.budget.total_steps(loader.steps_per_epoch, loader.tokens_per_epoch)
        held_out = self.tokens.num_sequences("holdout")
        if stage.early_stopping and not held_out:
            raise DataError(
                f"{self.context.name}: early stopping needs held-out data", remedy="set holdout in the stage that makes the data"
            )
        evaluate_seconds = seconds_of(stage.evaluate.every)
        if stage.budget.time is not None and stage.evaluate.every is None:
            evaluate_seconds = stage.budget.time / 5
        by_time = evaluate_seconds is not None
        return Plan(
            total_steps=total,
            total_seconds=stage.budget.time,
            learning_rate=stage.optimizer.lr,
            seed=self.context.seed,
            device=self.device,
            autocast=torch.bfloat16 if resolve_precision(stage.precision, self.device) == "bf16" else None,
            clip=stage.clip,
            evaluate_every=stage.evaluate.interval(total) if held_out and not by_time else 0,
            evaluate_seconds=evaluate_seconds if held_out else None,
            save_every=UNLIMITED if isinstance(stage.save.every, str) else stage.save.every,
            save_seconds=seconds_of(stage.save.every),
            save_best=stage.result == "best",
            patience=stage.early_stopping.patience if stage.early_stopping else None,
            average_decay=stage.average or 0.0,
            on_not_finite=stage.on_not_finite,
            on_spike=stage.on_spike,
            on_error=stage.on_error,
        )

    def _evaluator(self) -> Evaluator | None:
        """Loss of fixed held-out sequences and of as many fixed training ones."""
        if not self.plan.evaluate_every and self.plan.evaluate_seconds is None:
            return None
        seed = derive(self.context.seed, "evaluation")
        wanted = min(self.stage.evaluate.sequences, self.tokens.num_sequences("holdout"), self.tokens.num_sequences("train"))
        sides: dict[str, Split] = {"holdout_loss": "holdout", "train_loss": "train"}
        loaders = {name: open_loader(self.tokens, split, wanted, seed, even=True) for name, split in sides.items()}

        def measured() -> Mapping[str, float]:
            return {
                name: mean_loss(self.stage.task, self.module, loader, self.sizes.size, self.device, precision(self.plan))
                for name, loader in loaders.items()
            }

        return measured

    def _sample(self) -> tuple[tuple[str, str], ...]:
        """(prompt, what the model writes after it) for each of the stage's prompts; equal at every restart."""
        wanted = self.stage.samples
        prompts = wanted.prompts if wanted.prompts is not None else ([""] if self.stage.task.tag == "lm" else [])
        if not prompts or isinstance(self.tokens, Series):
            return ()
        vocabulary = Vocabulary(self.tokens.tokenizer_path)
        texts = []
        for number, prompt in enumerate(prompts):
            ids = [vocabulary.bos_id, *vocabulary.encode([prompt])[0].tolist()]
            with precision(self.plan):
                new = generate(
                    self.module,
                    ids,
                    wanted.tokens,
                    stop_ids=(vocabulary.eos_id,),
                    temperature=wanted.temperature,
                    seed=derive(self.context.seed, "sample", number),
                )
            texts.append(vocabulary.decode(new))
        return tuple(zip(prompts, texts, strict=True))

    def _take_result(self) -> None:
        """Put the weights that are asked for into the module: the best or the last, averaged where an average is kept."""
        state = self.state
        if self.stage.result == "best" and state.best_step and state.best_step != state.step:
            best = self.checkpoints.place(state.best_step)
            if wrong := damage(best):
                raise CheckpointError(
                    f"{best}: the best weights can't be used: {'; '.join(wrong)}",
                    remedy="restore the folder from a copy, or --restart to train this stage from its beginning",
                )
            load_weights(state.model, best, averaged=state.average is not None)
        elif state.average is not None:
            for name, parameter in state.model.named_parameters():
                parameter.data.copy_(state.average[name])
