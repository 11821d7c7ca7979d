"""Any filter of datatrove as a step: its word on each document, its reason in the ledger."""

from __future__ import annotations

import functools
import json
from importlib import import_module
from typing import Any

import numpy as np

from ropewalk.core.errors import ConfigError, MissingExtra
from ropewalk.core.extras import extra_version
from ropewalk.core.load import nearest
from ropewalk.data.steps import Batch, Change, Rule, Step

UNNAMED = "dropped"
# What they draw or call does not depend on the document and the recipe alone.
REFUSED = {"SamplerFilter": "use a stage of type sample", "LambdaFilter": "write a step of your own"}


class Datatrove(Step, type="datatrove"):
    """Drops what a filter of datatrove would drop, and takes over what it changes in the text (as its C4 filter does)."""

    filter: str
    """The class in `datatrove.pipeline.filters`, such as GopherQualityFilter."""
    arguments: dict[str, Any] = {}
    """What its constructor gets."""

    def fingerprint(self) -> Any:
        """datatrove's version; MissingExtra where it is not installed."""
        return {"datatrove": extra_version("datatrove", "datatrove", f"step datatrove ({self.filter})")}

    def apply(self, batch: Batch) -> Change:
        """A rule a reason that turns up: 1 for documents that it keeps, 0 for those that went for it."""
        document_of = import_module("datatrove.data").Document
        judge = made(self.filter, json.dumps(self.arguments, sort_keys=True))
        texts: list[str] = []
        reasons: list[str] = []
        columns = (batch.ids, batch.texts, batch.table["source"].to_pylist(), batch.table["meta"].to_pylist())
        for id_, text, source, meta in zip(*columns, strict=True):
            document = document_of(text=text, id=id_, metadata={**json.loads(meta or "{}"), "source": source})
            answer = judge.filter(document)
            kept, reason = answer if isinstance(answer, tuple) else (answer, UNNAMED)
            texts.append(document.text)
            reasons.append("" if kept else str(reason or UNNAMED))
        found = np.array(reasons, object)
        rules = tuple(Rule(name, (found != name).astype(np.float64), at_least=1) for name in sorted(set(reasons) - {""}))
        return Change(texts=None if texts == batch.texts else texts, rules=rules)


@functools.lru_cache(8)
def made(name: str, arguments: str) -> Any:
    """The filter, made once a process. ConfigError for a name or arguments that it does not know, MissingExtra for what it lacks itself."""
    filters = import_module("datatrove.pipeline.filters")
    known = sorted(item for item in vars(filters) if item.endswith("Filter") and item not in REFUSED)
    if name not in known:
        raise ConfigError(f"step datatrove: there is no filter {name!r} to use here ({REFUSED.get(name) or nearest(name, known)})")
    try:
        return getattr(filters, name)(**json.loads(arguments))
    except ImportError as error:
        raise MissingExtra(f"datatrove's {name} needs more: {error}", remedy="pip install 'datatrove[processing]'") from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"step datatrove: {name} can't be made: {error}", remedy="look at its arguments") from None
