"""Tokens to text while they are being written: never half a character, and nothing of a stop text."""

from __future__ import annotations

from collections.abc import Sequence

from ropewalk.data.tokenizer import Vocabulary

_BROKEN = "\N{REPLACEMENT CHARACTER}"
_CONTEXT = 4


class TextStream:
    """The pieces together are the text of the tokens up to the first stop text, control tokens left out."""

    def __init__(self, vocabulary: Vocabulary, prompt: Sequence[int] = (), stop: Sequence[str] = ()) -> None:
        """`prompt` is what the tokens continue: some tokenizers begin a text without the blank that stands in its middle."""
        self._vocabulary, self._stop = vocabulary, tuple(stop)
        self._ids = list(prompt)[-_CONTEXT:]
        self._start, self._told = 0, len(self._ids)
        self._held = ""
        self.stopped = False
        """Whether a stop text was written; what comes after it is not looked at."""

    def push(self, token: int) -> str:
        """The text that is certain now; often none."""
        self._ids.append(token)
        return self._sieved(self._fresh(whole=False), last=False)

    def finish(self) -> str:
        """The rest: what was held back because it might have gone on otherwise."""
        return self._sieved(self._fresh(whole=True), last=True)

    def _fresh(self, *, whole: bool) -> str:
        """Text of the tokens not told yet, once its last character is complete; earlier tokens give the context."""
        before = self._vocabulary.decode(self._ids[self._start : self._told], controls=False)
        text = self._vocabulary.decode(self._ids[self._start :], controls=False)
        if not whole and (len(text) <= len(before) or text.endswith(_BROKEN)):
            return ""
        self._start, self._told = self._told, len(self._ids)
        return text[len(before) :]

    def _sieved(self, fresh: str, *, last: bool) -> str:
        if self.stopped:
            return ""
        text = self._held + fresh
        found = [place for place in (text.find(stop) for stop in self._stop) if place >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = 0 if last else max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of the text that may be the beginning of the stop text."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)
