"""From a rendering to tokens with a mask: spans of characters, whatever tokens they fall into.

The template puts marks (characters that no text holds) around what is trained. Texts of a conversation that spell control tokens
are warded off by one more such character, so that only the template's own control tokens become control ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ropewalk.core.errors import DataError
from ropewalk.data.tokenizer import Vocabulary

TrainOn = Literal["assistant", "last", "all"]
NONCHARACTERS = [chr(code) for code in range(0xFDD0, 0xFDF0)]
ENDS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>", "<|end_of_text|>", "<|endoftext|>", "</s>")


@dataclass(frozen=True)
class Piece:
    """Text, or a control token when `control` is set."""

    text: str
    trained: bool
    control: bool = False


@dataclass(frozen=True)
class Rendering:
    """A conversation as pieces."""

    pieces: list[Piece]
    turns: int
    """Turns of the assistant."""
    ends_added: int = 0
    """Those that were given EOS because the template writes no end."""
    unended: int = 0
    """Those that have no end at all."""

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True)
class Marks:
    """Characters that stand in no text of a conversation."""

    ward: str
    generation: tuple[str, str]
    other: tuple[str, str]

    @classmethod
    def absent_from(cls, texts: Iterable[str]) -> Marks:
        """Unicode sets 32 characters aside that are no text; five of them must be free."""
        used = {character for text in texts if not text.isascii() for character in NONCHARACTERS if character in text}
        free = [character for character in NONCHARACTERS if character not in used]
        if len(free) < 5:
            raise DataError("a conversation uses nearly all of the characters U+FDD0 to U+FDEF, which are no text", remedy="clean it")
        return cls(free[0], (free[1], free[2]), (free[3], free[4]))


class Cutter:
    """Cuts renderings into pieces at the control tokens and marks."""

    def __init__(self, controls: Iterable[str], eos: str) -> None:
        names = sorted(controls, key=lambda name: (-len(name), name))
        self.controls = re.compile("|".join(map(re.escape, names)) or r"(?!)")
        self.eos = eos

    def ward(self, value: Any, mark: str) -> Any:
        """The value with the mark before each control token that its texts spell."""
        if isinstance(value, str):
            return self.controls.sub(lambda found: mark + found[0], value)
        if isinstance(value, dict):
            return {self.ward(name, mark): self.ward(part, mark) for name, part in value.items()}
        return [self.ward(part, mark) for part in value] if isinstance(value, list | tuple) else value

    def cut(self, rendering: str, marks: Marks, train_on: TrainOn, spoken: int) -> Rendering:
        """The pieces of a marked rendering of so many assistant turns, and what was seen of their ends."""
        joined = rendering.count(marks.generation[0]) > spoken  # some templates mark a turn's last end by itself
        pieces: list[Piece] = []
        turns: list[int] = []  # of each piece: the number of the assistant's turn, -1 for other trained text, -2 for the rest
        place, turn = -2, -1
        edges = "".join((*marks.generation, *marks.other))
        for part in re.split(f"([{edges}])", rendering):
            if part == marks.generation[0]:
                turn += not (joined and turns and turns[-1] == turn)
                place = turn
            elif part in (marks.generation[1], marks.other[1]):
                place = -2
            elif part == marks.other[0]:
                place = -1
            else:
                found = list(self._pieces(part, marks.ward))
                pieces += found
                turns += [place] * len(found)
        added, unended = self._end(pieces, turns, turn)
        wanted = {"assistant": range(turn + 1), "last": range(max(turn, 0), turn + 1), "all": range(-1, turn + 1)}[train_on]
        pieces = [replace(piece, trained=where in wanted) for piece, where in zip(pieces, turns, strict=True)]
        return Rendering(pieces, turn + 1, added, unended)

    def _pieces(self, text: str, ward: str) -> Iterable[Piece]:
        start = 0
        for found in self.controls.finditer(text):
            if found.start() and text[found.start() - 1] == ward:
                continue
            if found.start() > start:
                yield Piece(text[start : found.start()].replace(ward, ""), False)
            yield Piece(found[0], False, control=True)
            start = found.end()
        if start < len(text):
            yield Piece(text[start:].replace(ward, ""), False)

    def _end(self, pieces: list[Piece], turns: list[int], last: int) -> tuple[int, int]:
        """See that every assistant turn ends with a control token of its own: the one that follows at once, or EOS.

        Returns how many were given EOS, and how many have no end because the tokenizer has no EOS.
        """
        added = unended = 0
        for turn in range(last + 1):
            own = [index for index, place in enumerate(turns) if place == turn]
            said = [pieces[index] for index in own if pieces[index].control or pieces[index].text.strip()]
            if not own or (said and said[-1].control):  # a line break may follow the end
                continue
            behind = own[-1] + 1
            if behind < len(pieces) and pieces[behind].control and pieces[behind].text in (self.eos, *ENDS):
                turns[behind] = turn
            elif self.eos:
                pieces.insert(behind, Piece(self.eos, False, control=True))
                turns.insert(behind, turn)
                added += 1
            else:
                unended += 1
        return added, unended


def spans_by_prefixes(render: Callable[[int, bool], str], roles: Sequence[str], wanted: Sequence[str]) -> list[tuple[int, int, str]]:
    """(start, end, role) of each turn with a wanted role, from renderings of the first turns of a conversation.

    `render(n, prompt)` renders n turns, and the head of an answer when `prompt` is set. Raises DataError where a turn changes
    what was written before it, because then its characters can't be told.
    """
    whole, spans = render(len(roles), False), []
    for index, role in enumerate(roles):
        if role not in wanted:
            continue
        start = render(index, role == "assistant") if index or role == "assistant" else ""
        until = whole if index + 1 == len(roles) else render(index + 1, False)
        if not whole.startswith(until) or not until.startswith(start):
            raise DataError(f"the chat template writes turn {index + 1} ({role}) in another way when more follows")
        spans.append((len(start), len(until), role))
    return spans


def encode_pieces(pieces: Sequence[Piece], vocabulary: Vocabulary) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(ids, trained): texts between control tokens are encoded in one go, so ids are those of the whole rendering.

    A token that holds a trained character is trained.
    """
    ids: list[NDArray[np.int64]] = []
    trained: list[NDArray[np.bool_]] = []
    run: list[Piece] = []

    def flush() -> None:
        text = "".join(piece.text for piece in run)
        if text:
            found, ends = vocabulary.encode_with_ends(text)
            ids.append(found)
            trained.append(_trained(run, ends))
        run.clear()

    for piece in pieces:
        if piece.control:
            flush()
            ids.append(np.array([vocabulary.control(piece.text)], np.int64))
            trained.append(np.array([piece.trained]))
        else:
            run.append(piece)
    flush()
    return (np.concatenate(ids), np.concatenate(trained)) if ids else (np.zeros(0, np.int64), np.zeros(0, np.bool_))


def _trained(run: Sequence[Piece], ends: list[int]) -> NDArray[np.bool_]:
    """Of each token of a run of texts, whether a trained character is in it; a token inside of a character counts as that."""
    wanted = np.repeat([piece.trained for piece in run], [len(piece.text) for piece in run])
    until = np.concatenate([[0], np.cumsum(wanted)])
    stops = np.array(ends, np.int64)
    starts = np.minimum(np.concatenate([[0], stops[:-1]]), np.maximum(stops - 1, 0)).astype(np.int64)
    return np.asarray(until[stops] > until[starts], np.bool_)
