"""How the next token is drawn: what generation, chat and the server share, without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sampling:
    """One prompt's wishes; the same ones give the same tokens whatever else is in the batch."""

    max_tokens: int = 256
    """Most new tokens; the model's context ends them at the latest."""
    temperature: float = 0.0
    """0 takes the likeliest token each time."""
    top_p: float = 1.0
    """Draws from the likeliest tokens that hold this share of the probability."""
    top_k: int = 0
    """Draws from this many of the likeliest tokens; 0 from all."""
    seed: int = 0
    """Names the draws."""
    stop: tuple[str, ...] = ()
    """Texts that end the answer and are not part of it."""

    def faults(self) -> list[tuple[str, str]]:
        """(field, what is wrong with it), in words."""
        found = []
        if self.max_tokens < 1:
            found.append(("max_tokens", "must be at least 1"))
        if not 0 <= self.temperature <= 100:
            found.append(("temperature", "must be between 0 and 100"))
        if not 0 < self.top_p <= 1:
            found.append(("top_p", "must be above 0 and at most 1"))
        if self.top_k < 0:
            found.append(("top_k", "must not be negative"))
        if any(not text for text in self.stop):
            found.append(("stop", "must not hold an empty text"))
        return found
