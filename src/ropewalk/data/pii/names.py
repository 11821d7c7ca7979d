"""Names and places through presidio (extra `presidio`) and a spaCy model: slow, and right as often as that model is."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from ropewalk.core.errors import MissingExtra

ENTITIES = {"name": "PERSON", "place": "LOCATION"}
LEAST_SCORE = 0.5


@functools.cache
def analyzer(model: str) -> Any:
    """presidio's engine, once a process; MissingExtra names what to install, and nothing is fetched."""
    try:
        import spacy.util  # type: ignore[import-not-found, unused-ignore]
        from presidio_analyzer import AnalyzerEngine  # type: ignore[import-not-found, unused-ignore]
        from presidio_analyzer.nlp_engine import NlpEngineProvider  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise MissingExtra("pii: names and places need presidio", remedy="pip install 'ropewalk[presidio]'") from error
    if not spacy.util.is_package(model):
        raise MissingExtra(f"pii: the spaCy model {model} is not installed", remedy=f"python -m spacy download {model}, or name another")
    language = model[:2]
    chosen = {"nlp_engine_name": "spacy", "models": [{"lang_code": language, "model_name": model}]}
    engine = NlpEngineProvider(nlp_configuration=chosen).create_engine()
    return AnalyzerEngine(nlp_engine=engine, supported_languages=[language])


def named(text: str, kinds: frozenset[str], model: str) -> Iterator[tuple[str, int, int]]:
    """(kind, start, stop) in bytes of each; a tag that stands there already is nobody's name."""
    kind_of = {entity: kind for kind, entity in ENTITIES.items() if kind in kinds}
    for found in analyzer(model).analyze(text=text, entities=list(kind_of), language=model[:2]):
        inside = text[found.start : found.end]
        if found.score >= LEAST_SCORE and not any(character in "<>*" for character in inside):
            start = len(text[: found.start].encode())
            yield kind_of[found.entity_type], start, start + len(inside.encode())
