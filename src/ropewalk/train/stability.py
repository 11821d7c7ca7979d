"""When a step is out of order: a loss or gradient norm that is not finite, or far above those of the steps before."""

from __future__ import annotations

import math

WINDOW_STEPS = 128
ENOUGH_STEPS = 32  # fewer say little of how much a loss varies
SIGMAS = 6.0
LEAST_SHARE = 0.02  # of the mean: a window that hardly varies must not make every ripple a spike


def not_finite(loss: float, norm: float) -> str:
    """What is wrong in words; empty when both are finite."""
    return "" if math.isfinite(loss) and math.isfinite(norm) else f"loss is {loss}, gradient norm {norm}"


def spike(losses: list[float], norms: list[float], loss: float, norm: float) -> str:
    """What stands out by more than SIGMAS standard deviations of the window before; empty when nothing does."""
    for name, window, value in (("loss", losses, loss), ("gradient norm", norms, norm)):
        if len(window) < ENOUGH_STEPS:
            continue
        mean = math.fsum(window) / len(window)
        if value <= mean:
            continue
        variance = math.fsum((other - mean) ** 2 for other in window) / len(window)  # `statistics` took 0.4 ms a step for it
        spread = max(math.sqrt(variance), LEAST_SHARE * abs(mean))
        if value > mean + SIGMAS * spread:
            return f"{name} is {value:.4g}, {(value - mean) / spread:.0f} standard deviations above the {len(window)} steps before"
    return ""


def remember(window: list[float], value: float) -> None:
    """Add a value and forget what is older than the window."""
    window.append(value)
    del window[:-WINDOW_STEPS]


GROWTH_STEPS = 2000  # without overflow, after which an fp16 scale is tried twice as large (as torch's GradScaler does)


def grown(scale: float, steps: int) -> tuple[float, int]:
    """An fp16 scale and the updates since it changed, after one more update."""
    return (scale * 2, 0) if steps + 1 >= GROWTH_STEPS else (scale, steps + 1)
