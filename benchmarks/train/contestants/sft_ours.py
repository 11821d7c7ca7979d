"""Fine-tuning on prompts and answers with ropewalk: best-fit packing, attention within each conversation, head on answers only."""

from __future__ import annotations

from benchmarks.train.work import CLIP, RATE, SIZES, Meter, options

RECIPE = """
format: 1
name: sft
seed: 7
store: {folder}/sft_ours/store
runs: {folder}/sft_ours/runs
stages:
  tuned:
    type: train
    task: sft
    data: path:{data}
    init: path:{folder}/small/model
    optimizer: {{type: adamw, lr: {rate}, weight_decay: 0}}
    schedule: {{type: constant, warmup: 0}}
    clip: {clip}
    budget: {{steps: {steps}}}
    batch: {{sequences: {sequences}}}
    result: last
    threads: 1
"""


def main() -> None:
    import shutil

    import ropewalk
    from ropewalk.core.events import Event, Started, StepEnded

    given = options()
    shutil.rmtree(given.folder / "sft_ours", ignore_errors=True)
    meter, tokens = Meter("ours, packed"), []

    def hear(event: Event) -> None:
        match event:
            case Started():
                meter.begin()
            case StepEnded():
                meter.step(event.loss)
                tokens.append(event.tokens)

    fields = {"folder": given.folder, "data": (given.folder / "sft").read_text(), "sequences": SIZES["small"].sequences}
    recipe = RECIPE.format(rate=RATE, clip=CLIP, steps=given.steps, **fields)
    ropewalk.loads(recipe).run(quiet=True, listeners=[hear])
    meter.tell(tokens=tokens)


if __name__ == "__main__":
    main()
