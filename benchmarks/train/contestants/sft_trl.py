"""The same conversations with trl.SFTTrainer, which gets our rendering as prompt and completion; `packed` is its best-fit packing.

Its bf16 and recomputation are off: on a CPU they only slow it down.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

from benchmarks.train.work import BETAS, CLIP, RATE, SIZES, Meter, options


def main() -> None:
    warnings.filterwarnings("ignore")
    import torch
    from datasets import Dataset
    from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(1)
    given = options()
    packed, size = given.kind == "packed", SIZES["small"]
    meter, seen = Meter(f"TRL, {given.kind}"), []
    model = GPT2LMHeadModel.from_pretrained(given.folder / "small" / "model", activation_function="gelu_pytorch_tanh", use_cache=False)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(given.folder / "small" / "model")
    tokenizer.pad_token = tokenizer.eos_token
    rows = []
    for line in (given.folder / "pairs.jsonl").read_text("utf-8").split("\n"):
        if line:
            asked, answered = (turn["content"] for turn in json.loads(line)["messages"])
            rows.append({"prompt": f"### User:\n{asked}\n\n### Assistant:\n", "completion": answered})

    class Hear(TrainerCallback):
        def on_train_begin(self, *arguments: object, **others: object) -> None:
            meter.begin()

        def on_step_end(self, *arguments: object, **others: object) -> None:
            meter.step(0.0)

        def on_log(self, *arguments: object, logs: dict[str, float] | None = None, **others: object) -> None:
            if logs and "num_tokens" in logs:
                seen.append(float(logs["num_tokens"]))
                meter.losses[-1] = float(logs["loss"])

    with tempfile.TemporaryDirectory() as place:
        settings = SFTConfig(
            output_dir=place,
            max_steps=given.steps,
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
            max_length=size.context,
            packing=packed,
            bf16=False,
            gradient_checkpointing=False,
            **({"packing_strategy": "bfd"} if packed else {}),
        )
        trainer = SFTTrainer(
            model=model, args=settings, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, callbacks=[Hear()]
        )
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.train()
    meter.tell(tokens=[later - before for before, later in zip([0.0, *seen], seen, strict=False)])


if __name__ == "__main__":
    main()
