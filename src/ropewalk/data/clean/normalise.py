"""Normalising: the same text gets the same characters, whatever made it; what a reader sees stays."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ropewalk.data.steps import Batch, Change, Step, rewrite

_LINE_ENDS = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# Control characters other than tab and line feed; soft hyphen, zero-width space, word joiner, byte order mark;
# marks of text direction and of interlinear notes. The zero-width joiners stay: emoji and many scripts need them.
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
_LINE_TAILS = re.compile(r"(?<![ \t])[ \t]++(?=\n|\Z)")  # each run is tried once, from its beginning
_ODD = re.compile("[^\t\n -~]")


class Normalise(Step, type="normalise"):
    """Unicode NFC, LF line ends, plain spaces, no invisible characters, no blanks at line ends, no heaps of blank lines."""

    shows_changes: ClassVar[bool] = True
    form: Literal["NFC", "NFKC", "none"] = "NFC"
    """Unicode normal form: NFC keeps what one sees, NFKC also turns `ﬁ` into `fi` and `²` into `2`."""
    max_blank_lines: Annotated[int, Field(ge=0)] | None = 1
    """Most blank lines in a row; null leaves them."""

    def apply(self, batch: Batch) -> Change:
        """Texts with nothing to do are told by one pass of Arrow."""
        import pyarrow.compute as pc

        heap = "" if self.max_blank_lines is None else rf"|\n{{{self.max_blank_lines + 2},}}"
        hinted = pc.match_substring_regex(batch.table["text"], rf"[^\t\n -~]|[ \t]\n|\A\n|\s\z{heap}").to_pylist()
        return rewrite([self.normalised(text) if is_hinted else text for text, is_hinted in zip(batch.texts, hinted, strict=True)])

    def normalised(self, text: str) -> str:
        """One text; indentation and single spaces between words stay as they are."""
        if _ODD.search(text):
            text = self._in_form(text)
            text = _LINE_ENDS.sub("\n", text)
            text = _SPACES.sub(" ", text)
            text = self._in_form(_INVISIBLE.sub("", text))
        if " \n" in text or "\t\n" in text:
            text = _LINE_TAILS.sub("", text)
        if self.max_blank_lines is not None:
            most = "\n" * (self.max_blank_lines + 1)
            text = re.sub(rf"\n{{{self.max_blank_lines + 2},}}", most, text)
        return text.strip("\n").rstrip()

    def _in_form(self, text: str) -> str:
        return text if self.form == "none" else unicodedata.normalize(self.form, text)
