"""Turns a documented thing into a short conversation about it, or into nothing where its first sentence makes no good answer."""

from __future__ import annotations

import re

from ropewalk.core.seed import derive
from ropewalk.data.sources.docstrings import Entry

MIN_WORDS, MAX_CHARACTERS = 4, 240
OBSCURE = ("idlelib.", "lib2to3.", "turtledemo.", "distutils.", "encodings.", "ensurepip.", "tkinter.tix.")
"""Packages that nobody asks about."""
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|cf|resp|viz|approx|incl)$", re.IGNORECASE)
_END = re.compile(r"[.!?](?=\s|$)")
_UNFIT = re.compile(
    r">>>|::|--|==|\*\*|\.\.\.|[{}|\\]|\b(?:XXX|TODO|FIXME|deprecated|obsolete|internal|attributes|override)\b|\bself\b", re.IGNORECASE
)
_VAGUE = re.compile(r"(?:This|That|These|It|Its|See|Same|Like|As|Also|Note|If|Or|And|But|Called|Used|Args?|We|You|Do not|Helper|Private)\b")
_RETURNS = re.compile(r"Returns? (?=(?:an?|the|True|False|all|whether|how|what|which|[a-z]+) )")
_VERBS = (
    "return|iterate|create|construct|build|handle|implement|provide|represent|wrap|encode|decode|read|write|parse|run|raise|manage|"
    "generate|make|format|define|support|hold|store|process|perform|convert|encapsulate|extend|send|allow|contain|find|use"
)
_DOES = re.compile(rf"(?:{_VERBS})s?\b", re.IGNORECASE)
_IS = re.compile(r"(?:An?|Special|Decorator|Context manager|Wrapper|Shortcut|Convenience|Helper|Factory|Alias|Equivalent)\b")

Message = dict[str, str]


def conversation(entry: Entry) -> list[Message]:
    """One question and answer, sometimes with a second turn about the call; empty when there is nothing good to ask."""
    if entry.kind == "topic" or f"{entry.id}.".startswith(OBSCURE) or any(part.startswith("_") for part in entry.id.split(".")):
        return []
    sentence = first_sentence(entry.doc)
    if not is_answer(sentence):
        return []
    draw = derive(0, "question", entry.id)
    question, answer = _asked(entry, sentence, draw)
    turns = [question, answer]
    call = entry.signature.removeprefix("async ")
    if entry.kind == "function" and "self" not in call and len(call) <= 100 and "()" not in call and draw // 8 % 3 == 0:
        turns += ["How do I call it?", f"Like this: `{call}`."]
    return [{"role": ("user", "assistant")[index % 2], "content": turn} for index, turn in enumerate(turns)]


def first_sentence(doc: str) -> str:
    """The first sentence of a docstring's first paragraph on one line; empty when it has no end."""
    paragraph = " ".join(doc.split("\n\n")[0].split())
    for end in _END.finditer(paragraph):
        if not _ABBREVIATION.search(paragraph[: end.start()]):
            return paragraph[: end.end()]
    return ""


def is_answer(sentence: str) -> bool:
    """Whether a sentence can stand by itself as an answer."""
    return (
        len(sentence.split()) >= MIN_WORDS
        and len(sentence) <= MAX_CHARACTERS
        and sentence[0].isupper()
        and sentence.endswith(".")
        and not _UNFIT.search(sentence)
        and not _VAGUE.match(sentence)
        and all(sentence.count(left) == sentence.count(right) for left, right in ("()", "[]", "<>"))
        and sentence.count('"') % 2 == 0
        and sentence.count("`") % 2 == 0
    )


def _asked(entry: Entry, sentence: str, draw: int) -> tuple[str, str]:
    """A question that fits the kind of thing, and its answer."""
    name = f"`{entry.id}`"
    if entry.kind == "module":
        return (f"What is the module {name} for?", f"What does the module {name} offer?")[draw % 2], sentence
    if entry.kind == "class" and not _DOES.match(sentence):
        return (f"What is {name}?", f"What is the class {name} for?")[draw % 2], sentence
    returned = _RETURNS.match(sentence)
    value = sentence[returned.end() :] if returned else ""
    if len(value.split()) < MIN_WORDS - 1 or value.startswith(("or ", "and ")):
        value = ""
    if entry.kind == "property":
        return f"What does the property {name} hold?", value[:1].upper() + value[1:] or sentence
    if entry.kind == "function" and _IS.match(sentence):
        return f"What is {name}?", sentence
    above = entry.id.rpartition(".")[0]
    word = "class" if entry.kind == "class" else "method" if entry.inside == "class" else "function"
    form = draw % 8
    if form == 0:
        return f"Which {word} of `{above}` does the following? {sentence}", f"{name} does that."
    if value and form <= 5:
        return f"What does {name} return?", value[0].upper() + value[1:]
    return (f"What does {name} do?", f"What does the {word} {name} do?")[draw % 2], sentence
