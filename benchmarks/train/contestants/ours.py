"""ropewalk's own trainer, by a recipe of one stage, as a user runs it: manifest, event log and run folder included."""

from __future__ import annotations

from benchmarks.train.work import CLIP, RATE, Meter, arguments, options

RECIPE = """
format: 1
name: ours
seed: 7
store: {folder}/ours/store
runs: {folder}/ours/runs
stages:
  trained:
    type: train
    data: path:{data}
    init: path:{folder}/model
    optimizer: {{type: adamw, lr: {rate}, weight_decay: 0}}
    schedule: {{type: constant, warmup: 0}}
    clip: {clip}
    budget: {{steps: {steps}}}
    batch: {{sequences: {sequences}}}
    result: last
    threads: 1
    recompute: {recompute}
"""


def main() -> None:
    import shutil

    import ropewalk
    from ropewalk.core.events import Event, Started, StepEnded

    given, (folder, steps, size) = options(), arguments()
    name = f"ours{given.kind and ', '}{given.kind}"
    shutil.rmtree(folder / "ours", ignore_errors=True)
    meter = Meter(name)

    def hear(event: Event) -> None:
        match event:
            case Started():
                meter.begin()
            case StepEnded():
                meter.step(event.loss)

    data = (folder / "data").read_text()
    fields = {"folder": folder, "data": data, "rate": RATE, "clip": CLIP, "steps": steps, "sequences": size.sequences}
    ropewalk.loads(RECIPE.format(recompute=str(given.kind == "recompute").lower(), **fields)).run(quiet=True, listeners=[hear])
    meter.tell()


if __name__ == "__main__":
    main()
