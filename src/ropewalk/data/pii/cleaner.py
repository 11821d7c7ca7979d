"""The work of the `pii` step on a column of texts: find, replace, and look again at what was changed until nothing more is found."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ropewalk.core.errors import ConfigError
from ropewalk.data.dedup.hash import Texts
from ropewalk.data.pii.find import Finder, Span
from ropewalk.data.pii.replace import Replacement, Replacer
from ropewalk.data.pii.rewritten import Rewritten, counted, spliced
from ropewalk.data.steps import Change

if TYPE_CHECKING:
    import pyarrow as pa

    from ropewalk.data.pii.national import Country

FREE_ROUNDS = 4
"""After these only tags are put in, which end every chain: a tag holds nothing that anything begins with."""


@dataclass(frozen=True)
class Cleaner:
    """A finder, what it leaves alone, and what is put in place of the rest."""

    finder: Finder
    replacer: Replacer
    allow: frozenset[str]

    def clean(self, column: pa.ChunkedArray) -> Change:
        """New texts where anything was found, and how often in each text, by kind."""
        import pyarrow as pa

        whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        texts = Texts.of(whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole)
        number = len(texts)
        hits: dict[str, list[int]] = {kind: [] for kind in self.replacer.choices}
        rows = np.arange(number)
        turn = 0
        while True:
            spans = [span for span in self.finder.spans(texts, rows) if not self._allowed(texts, span)]
            if not spans:
                break
            for span in spans:
                hits[span.kind].append(span.row)
            data = texts.data.data
            settled = turn >= FREE_ROUNDS
            texts = spliced(
                texts,
                [(row, start, stop, self.replacer.put(kind, bytes(data[start:stop]), settled=settled)) for row, start, stop, kind in spans],
            )
            rows = np.unique(np.array([span.row for span in spans], np.int64))
            turn += 1
        counts = {kind: counted(found, number).tolist() for kind, found in hits.items()}
        return Change(texts=Rewritten(texts), counts=counts)

    def _allowed(self, texts: Texts, span: Span) -> bool:
        if not self.allow:
            return False
        found = texts.data[span.start : span.stop].tobytes().decode().lower()
        return found in self.allow or (span.kind == "email" and found[found.index("@") :] in self.allow)


@functools.lru_cache(16)
def cleaner(
    choices: tuple[tuple[str, Replacement], ...],
    allow: tuple[str, ...],
    regions: tuple[str, ...],
    countries: tuple[Country, ...],
    secret: bytes,
    model: str,
) -> Cleaner:
    """One for a config, made once a process."""
    chosen: Mapping[str, Replacement] = dict(choices)
    is_phone = Replacer.is_phone
    if "phone" in chosen:
        from ropewalk.data.pii.phone import taken_for_phone, unknown_regions

        unknown = unknown_regions(regions)
        if unknown:
            raise ConfigError(f"pii: phone_regions: phonenumbers knows no {', '.join(unknown)}", remedy="two capital letters of ISO 3166")
        is_phone = functools.partial(taken_for_phone, regions=regions)
    finder = Finder(frozenset(chosen), regions, countries, model)
    return Cleaner(finder, Replacer(chosen, secret, is_phone), frozenset(allow))
