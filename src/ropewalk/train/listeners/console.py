"""The console listener: a bar with tokens/s, loss and time left; evaluations, a new best and the patience left as lines."""

from __future__ import annotations

from logging import Logger

from ropewalk.core.events import Ended, Evaluated, Event, Listener, Recovered, Started, StepEnded
from ropewalk.core.log import Progress
from ropewalk.core.units import show_count

SMOOTHING = 0.9  # the bar shows an average over about ten steps: a single batch's loss jumps


def console(name: str, bar: Progress, log: Logger) -> Listener:
    """Speaks for one training run; the bar counts positions."""
    shown: float | None = None

    def heard(event: Event) -> None:
        nonlocal shown
        match event:
            case Started():
                begin = f"goes on at step {event.step}" if event.step else "starts"
                facts = ", ".join(f"{key} {show_count(v) if isinstance(v, int) else v}" for key, v in event.facts.items())
                log.info("%s: %s, %d steps in all (%s)", name, begin, event.total_steps, facts)
            case StepEnded():
                shown = event.loss if shown is None else SMOOTHING * shown + (1 - SMOOTHING) * event.loss
                bar.advance(event.tokens, f"step {event.step}/{event.total_steps} · loss {shown:.3f}")
            case Evaluated():
                values = ", ".join(f"{key} {value:.4f}" for key, value in event.metrics.items())
                best = " · new best" if event.best else ""
                patience = "" if event.patience_left is None else f" · patience {event.patience_left}"
                log.info("%s: step %d: %s%s%s", name, event.step, values, best, patience)
            case Recovered():
                log.warning("%s: step %d: %s", name, event.step, event.what)
            case Ended():
                log.info("%s: ended at step %d: %s", name, event.step, event.reason)
            case _:
                log.debug("%s: %s", name, event)

    return heard
