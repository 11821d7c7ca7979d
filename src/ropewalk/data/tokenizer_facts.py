"""What a tokenizer does to a text: bytes a token, tokens a word, ids that nothing uses or reaches, whether text comes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ropewalk.data.encoder import Encode
from ropewalk.data.tokenizer import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyarrow import Table

SHOWN = 20
BATCH = 1024
EVERY_LEAD_BYTE = "".join(chr(code) for code in (*range(0x800), *range(0x800, 0xD800, 61), *range(0xE000, 0x110000, 1009)))
"""All code points of one and two bytes, and some of every block: each byte that UTF-8 has stands in it."""


@dataclass
class Measured:
    """Sums over the texts seen so far."""

    size: int
    seen: NDArray[np.int64] = field(init=False)
    text_bytes: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.seen = np.zeros(self.size, np.int64)

    def add(self, table: Table, encode: Encode) -> None:
        """The documents of a table (text, source)."""
        for start in range(0, table.num_rows, BATCH):
            part = table.slice(start, BATCH)
            texts, sources = part["text"].to_pylist(), part["source"].to_pylist()
            found = encode(texts)
            self.seen += np.bincount(found.tokens, minlength=self.size)
            for text, source, length in zip(texts, sources, found.lengths.tolist(), strict=True):
                self.text_bytes[source] += len(text.encode())
                self.words[source] += len(text.split())
                self.tokens[source] += length

    def facts(self) -> dict[str, Any]:
        """Bytes a token and tokens a word (white-space run), in all and by source where there are several."""
        found: dict[str, Any] = {}
        sources = sorted(self.tokens)
        for prefix, names in [("", sources), *((f"source/{name}/", [name]) for name in sources if len(sources) > 1)]:
            text_bytes, words, tokens = (sum(sums[name] for name in names) for sums in (self.text_bytes, self.words, self.tokens))
            found[f"{prefix}bytes_per_token"] = text_bytes / tokens if tokens else 0.0
            found[f"{prefix}tokens_per_word"] = tokens / words if words else 0.0
        return found


def vocabulary_facts(vocabulary: Vocabulary, seen: NDArray[np.int64]) -> dict[str, Any]:
    """Ids that the measured texts don't use, and glitch tokens: ids that no text is encoded to, not even their own."""
    controls = set(vocabulary.controls.values())
    known = sorted(id_ for id_ in vocabulary.engine.get_vocab().values() if id_ not in controls)
    spelt = [(id_, vocabulary.engine.decode([id_])) for id_ in known]
    whole = [(id_, text) for id_, text in spelt if text and "\ufffd" not in text]
    again = vocabulary.encode([text for _, text in whole])
    glitches = [text for (id_, text), ids in zip(whole, again, strict=True) if ids.tolist() != [id_] and not seen[id_]]
    unused = [text for id_, text in spelt if not seen[id_]]
    return {
        "unused_tokens": len(unused),
        "glitch_tokens": len(glitches),
        "glitches": sorted(glitches, key=lambda text: (-len(text), text))[:SHOWN],
        "longest_tokens": sorted((text for _, text in whole), key=lambda text: (-len(text), text))[:SHOWN],
        "changed_characters": changed_characters(vocabulary),
    }


def changed_characters(vocabulary: Vocabulary, text: str = EVERY_LEAD_BYTE) -> int:
    """How many characters don't come back from their ids; 0 for a byte-level tokenizer."""
    if vocabulary.decode(vocabulary.encode([text])[0]) == text:
        return 0
    each = vocabulary.encode(list(text))
    return sum(vocabulary.decode(ids) != letter for letter, ids in zip(text, each, strict=True))


def measure(vocabulary: Vocabulary, tables: Iterable[Table], encode: Encode, limit_bytes: int) -> Measured:
    """The documents of the tables, up to about so many bytes."""
    measured = Measured(vocabulary.size)
    for table in tables:
        left = limit_bytes - measured.text_bytes.total()
        if left <= 0:
            break
        rows = min(table.num_rows, max(1, int(table.num_rows * left / max(table.nbytes, 1))))
        measured.add(table.slice(0, rows), encode)
    return measured
