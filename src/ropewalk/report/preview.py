"""The mask preview: a few documents as the model sees them, token by token, with the trained ones coloured."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import numpy as np

from ropewalk.data.tokenizer import Vocabulary
from ropewalk.data.tokens import TokenDocument, Tokens
from ropewalk.report.facts import RunFacts, StageFacts
from ropewalk.report.markup import section, share, text, visible

SHOWN = 3
MOST_TOKENS = 320
_COLOURS = '<span class="tok trained">trained</span> <span class="tok">read only</span> <span class="tok control">control</span>'
KEY = f"Token by token, each with its own edge: {_COLOURS}. ⏎ is a line break."


def previews(facts: RunFacts) -> str:
    """Rendered chats first: there the mask matters."""
    stages = sorted(facts.making("Tokens"), key=lambda stage: not _masked(stage))
    body = "".join(_stage(stage) for stage in stages)
    return section("mask", "What the model is trained on", body, KEY)


def _masked(stage: StageFacts) -> bool:
    return bool(stage.path and (stage.path / "mask.bin").is_file())


def _stage(stage: StageFacts) -> str:
    assert stage.path and stage.manifest
    tokens = Tokens(stage.path, stage.manifest)
    vocabulary = Vocabulary(tokens.tokenizer_path)
    masked = tokens.mask is not None
    documents = _some(tokens, SHOWN if masked else 1)
    shown = "".join(f"<h4><code>{text(one.id, 120)}</code></h4>{coloured(one, vocabulary)}" for one in documents)
    positions, trained = stage.metrics.get("train/positions", 0), stage.metrics.get("train/trained_tokens", 0)
    said = f"{share(trained, positions)} of the positions are trained" if masked else "every token is trained but the first of a document"
    return f"<h3>{text(stage.name)} <small>{said}</small></h3>{shown}" if shown else ""


def _some(tokens: Tokens, wanted: int) -> list[TokenDocument]:
    """Training documents from evenly spread places."""
    import pyarrow.compute as pc

    table = tokens.documents
    table = table.filter(pc.equal(table["split"], "train"))
    places = sorted({table.num_rows * place // wanted for place in range(wanted)}) if table.num_rows else []
    found = []
    for row in table.take(places).to_pylist():
        part = slice(row["offset"], row["offset"] + row["length"])
        mask = None if tokens.mask is None else np.asarray(tokens.mask[part], np.bool_)
        found.append(TokenDocument(row["id"], row["source"], np.asarray(tokens.tokens[part], np.int64), mask, row["text_bytes"]))
    return found


def coloured(document: TokenDocument, vocabulary: Vocabulary) -> str:
    """The first tokens of a document, each in its colour."""
    parts = [_token(*piece) for piece in pieces(document, vocabulary)]
    left = len(document.tokens) - MOST_TOKENS
    return f'<p class="tokens">{"".join(parts)}{f" <small>… {left:,} more</small>" if left > 0 else ""}</p>'


def pieces(document: TokenDocument, vocabulary: Vocabulary) -> Iterator[tuple[str, bool, bool]]:
    """(text, whether it is trained, whether it is a control) of the first tokens; a character over several tokens is one piece."""
    names = {id_: name for name, id_ in vocabulary.controls.items()}
    ids = [int(id_) for id_ in document.tokens[:MOST_TOKENS]]
    mask = [place > 0 for place in range(len(ids))] if document.mask is None else [bool(one) for one in document.mask[: len(ids)]]
    held: list[int] = []
    for place, (id_, trained) in enumerate(zip(ids, mask, strict=True)):
        held.append(id_)
        piece = names[id_] if id_ in names else vocabulary.decode(held)
        last = place + 1 == len(ids) or mask[place + 1] != trained or ids[place + 1] in names
        if piece.endswith("\ufffd") and not last and len(held) < 4:
            continue
        held = []
        yield piece, trained, id_ in names


def _token(piece: str, trained: bool, control: bool) -> str:
    kind = f"tok{' trained' if trained else ''}{' control' if control else ''}"
    shown = escape(visible(piece.replace("\n", "⏎"))).replace("⏎", "⏎<br>")
    return f'<span class="{kind}">{shown}</span>'
