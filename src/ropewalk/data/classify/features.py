"""What a linear classifier sees of a text: its words and parts of words, counted in hashed buckets.

Characters become plain letters (lower case, no accents, look-alikes of other scripts as the Latin letter); a count weighs
1 + ln(count); a text's vector has length 1. `disguises` also reads `sh1t`, `a$$`, `f**k`, `f u c k` and `fuuuck` as the words meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ropewalk.core.component import Component

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from ropewalk.data.classify.solver import Table
    from ropewalk.data.classify.words import Words

Size = Annotated[int, Field(ge=0, le=8)]


class Features(Component):
    """Hashed n-grams."""

    words: Annotated[int, Field(ge=0, le=3)] = 2
    """Longest n-gram of words; 0 for none."""
    characters: tuple[Size, Size] = (3, 5)
    """Shortest and longest n-gram of a word's characters, its edges included; `[0, 0]` for none."""
    bits: Annotated[int, Field(ge=8, le=24)] = 18
    """There are 2^bits buckets: more keep n-grams apart and need more memory, four bytes a bucket in the finished classifier."""
    disguises: bool = False
    """Read letters in disguise as the letters meant, drop punctuation, and see all names (`@name`), numbers and URLs as the same."""

    @model_validator(mode="after")
    def _some(self) -> Features:
        least, most = self.characters
        if least > most or (most > 0 and least == 0):
            raise PydanticCustomError("characters", "characters are [shortest, longest], such as [3, 5]")
        if not self.words and not most:
            raise PydanticCustomError("features", "without words and characters there is nothing to see")
        return self


class Reader:
    """Reads texts as vectors; holds the room that the compiled loops work in."""

    def __init__(self, features: Features) -> None:
        import numpy as np

        from ropewalk.data.classify.words import Room

        self.features = features
        self.room = Room(features.disguises)
        self.damped = np.concatenate([[0.0], 1.0 + np.log(np.arange(1, 256))])
        size = 1 << features.bits
        grams = (features.words, features.characters[0], features.characters[1], np.uint64(64 - features.bits))
        self.memory: tuple[Any, ...] = (*grams, np.zeros(size, np.uint8), np.empty(size, np.int32))

    def vectors(self, column: pa.ChunkedArray, limit: int) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.int64]]]:
        """(entries, how many each text has) of pieces of a column, in order; `limit` bytes of each text, 0 for all."""
        import numpy as np

        from ropewalk.data.classify.counting_kernels import vectors
        from ropewalk.data.classify.words import PIECE
        from ropewalk.data.dedup.compiled import wrapping
        from ropewalk.data.dedup.hash import pieces

        least, most = self.features.characters
        each = self.features.words + max(most - least + 1, 1)
        for texts in pieces(column, PIECE):
            words = self.room.read(texts, limit)
            packed = np.empty((len(words.units) + 2 * len(words)) * each, np.uint32)
            sizes = np.empty(len(texts), np.int64)
            memory: tuple[Any, ...] = (*self.memory, packed, sizes)
            with wrapping():
                total = vectors(*words.lettered, words.firsts, *memory)
            yield packed[:total].copy(), sizes

    def scores(self, words: Words, parts: NDArray[np.int32], weights: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The score before the bias of each part (words parts[i]:parts[i+1]), and whether there was anything to see in it."""
        import numpy as np

        from ropewalk.data.classify.counting_kernels import score_parts
        from ropewalk.data.dedup.compiled import wrapping

        number = max(len(parts) - 1, 0)
        result, known = np.empty(number), np.empty(number, np.bool_)
        memory: tuple[Any, ...] = (*self.memory, weights, self.damped, result, known)
        with wrapping():
            score_parts(*words.lettered, parts, *memory)
        return result, known

    def table(self, parts: list[tuple[NDArray[np.uint32], NDArray[np.int64]]]) -> Table:
        """What `vectors` gave, as the solver reads it."""
        import numpy as np

        from ropewalk.data.classify.solver import Table

        packed = np.concatenate([np.empty(0, np.uint32), *(part for part, _ in parts)])
        sizes = np.concatenate([np.zeros(1, np.int64), *(size for _, size in parts)])
        return Table.of(packed, np.cumsum(sizes), self.damped)
