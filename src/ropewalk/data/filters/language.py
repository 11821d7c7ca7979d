"""Keeps documents in given languages."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ropewalk.core.errors import ConfigError, MissingExtra
from ropewalk.core.units import Bytes
from ropewalk.data.steps import Batch, Change, Rule, Step

Code = Annotated[str, Field(pattern="^[a-z]{2,3}$")]
PIECE = 256


class Language(Step, type="language"):
    """Keeps documents in the languages named, as py3langid's model tells them (extra `data`); a text without letters is in none."""

    keep: Annotated[list[Code], Field(min_length=1)] = ["en"]
    """Codes of the languages, such as `[en, de]` (ISO 639-1, or 639-3 where there is none)."""
    at_least: Annotated[float, Field(ge=0, le=1)] = 0.65
    """Least probability that it is one of them."""
    first_bytes: Annotated[Bytes, Field(ge=0)] = 2000
    """Of each document so many bytes are read; 0 for all."""

    def fingerprint(self) -> Any:
        """The package's version: its model comes with it."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            return {"py3langid": version("py3langid")}
        except PackageNotFoundError:
            raise MissingExtra("step language: the package py3langid is not here", remedy="pip install 'ropewalk[data]'") from None

    def apply(self, batch: Batch) -> Change:
        """Scores the probability of the languages kept; counts the documents of each language found."""
        import numpy as np

        self.fingerprint()
        from ropewalk.data.classify.language import languages
        from ropewalk.data.dedup.hash import pieces

        model = languages()
        unknown = sorted(set(self.keep) - set(model.labels))
        if unknown:
            known = ", ".join(sorted(set(model.labels)))
            raise ConfigError(f"step language: keep names {', '.join(unknown)}, which its model does not know", remedy=f"it knows {known}")
        kept = [place for place, label in enumerate(model.labels) if label in self.keep]
        scores, best = np.empty(0), np.empty(0, np.int64)
        for texts in pieces(batch.table["text"], PIECE):
            found = model.probabilities(texts, self.first_bytes)
            scores = np.concatenate([scores, found[:, kept].sum(axis=1)])
            best = np.concatenate([best, found.argmax(axis=1)])
        counts = {model.labels[place]: (best == place).astype(np.int64).tolist() for place in np.unique(best).tolist()}
        return Change(rules=(Rule("at_least", scores, at_least=self.at_least),), counts=counts)
