"""transformers.Trainer with GPT2LMHeadModel; the fused form of the same GELU, its default optimizer, no reporting."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from benchmarks.train.work import BETAS, CLIP, RATE, Meter, arguments, batches


def main() -> None:
    import torch
    from torch.utils.data import Dataset, SequentialSampler
    from transformers import GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

    torch.set_num_threads(1)
    folder, steps, size = arguments()
    meter = Meter("HF Trainer")
    model = GPT2LMHeadModel.from_pretrained(folder / "model", activation_function="gelu_pytorch_tanh", use_cache=False)

    class Windows(Dataset):  # type: ignore[type-arg]
        rows = torch.from_numpy(batches(folder)).flatten(0, 1)

        def __len__(self) -> int:
            return len(self.rows)

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            row = self.rows[index]
            return {"input_ids": row[:-1], "labels": row[1:], "shift_labels": row[1:]}

    class InOrder(Trainer):
        def _get_train_sampler(self, *arguments: object, **options: object) -> SequentialSampler:
            return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]

        def training_step(self, *arguments: object, **options: object) -> torch.Tensor:
            loss = super().training_step(*arguments, **options)  # type: ignore[arg-type]
            self.last_loss = loss.item()
            return loss

    class Hear(TrainerCallback):
        def on_train_begin(self, *arguments: object, **options: object) -> None:
            meter.begin()

        def on_step_end(self, *arguments: object, **options: object) -> None:
            meter.step(trainer.last_loss)

    with tempfile.TemporaryDirectory() as place:
        settings = TrainingArguments(
            output_dir=place,
            max_steps=steps,
            per_device_train_batch_size=size.sequences,
            learning_rate=RATE,
            adam_beta1=BETAS[0],
            adam_beta2=BETAS[1],
            weight_decay=0.0,
            max_grad_norm=CLIP,
            lr_scheduler_type="constant",
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            dataloader_pin_memory=False,
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        trainer = InOrder(model=model, args=settings, train_dataset=Windows(), callbacks=[Hear()])
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.train()
    meter.tell()


if __name__ == "__main__":
    main()
