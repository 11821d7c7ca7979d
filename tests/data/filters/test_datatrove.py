"""The bridge to datatrove: its own filters where it is installed, a small stand-in for its modules where it is not."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import pytest

from ropewalk.core.errors import ConfigError, MissingExtra
from ropewalk.data.corpus import from_documents
from ropewalk.data.filters.datatrove import Datatrove, made
from ropewalk.data.records import Document
from ropewalk.data.steps import Batch, Change

PROSE = "The master of the walk said that the hemp of this year was the best that he had seen to be spun with care. " * 8
installed = pytest.mark.skipif(find_spec("datatrove") is None, reason="datatrove is not installed")


def applied(step: Datatrove, *texts: str) -> Change:
    return step.apply(Batch(from_documents([Document(f"d{n}", text, "web", meta={"url": f"u{n}"}) for n, text in enumerate(texts)])))


@dataclass
class Paper:
    """What datatrove calls a Document."""

    text: str
    id: str
    metadata: dict[str, Any] = field(default_factory=dict)


class ShortFilter:
    """Drops short ones with a reason, empty ones without; changes one."""

    def __init__(self, least: int = 3) -> None:
        if least < 0:
            raise ValueError("least is negative")
        if least == 99:
            raise ImportError("please install nltk")
        self.least = least

    def filter(self, paper: Paper) -> Any:
        paper.text = paper.text.replace("tar", f"tar of {paper.metadata['url']} in {paper.metadata['source']}")
        if not paper.text:
            return False
        return True if len(paper.text) >= self.least else (False, "too_short")


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    modules: dict[str, dict[str, Any]] = {
        "datatrove": {},
        "datatrove.data": {"Document": Paper},
        "datatrove.pipeline": {},
        "datatrove.pipeline.filters": {"ShortFilter": ShortFilter, "SamplerFilter": ShortFilter, "LambdaFilter": ShortFilter},
    }
    for name, content in modules.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    made.cache_clear()
    yield
    made.cache_clear()


@pytest.mark.usefixtures("stand_in")
def test_reasons_become_rules_and_changed_texts_are_taken_over() -> None:
    change = applied(Datatrove(filter="ShortFilter", arguments={"least": 4}), "ab", "", "hemp", "tar")
    assert {rule.name: rule.keeps.tolist() for rule in change.rules} == {
        "dropped": [True, False, True, True],
        "too_short": [False, True, True, True],
    }
    assert change.texts == ["ab", "", "hemp", "tar of u3 in web"]
    whole = applied(Datatrove(filter="ShortFilter"), "hemp")
    assert whole.texts is None and whole.rules == ()


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("ShotFilter", {}, "did you mean 'ShortFilter'"),
        ("SamplerFilter", {}, "use a stage of type sample"),
        ("LambdaFilter", {}, "write a step of your own"),
        ("ShortFilter", {"most": 3}, "most"),
        ("ShortFilter", {"least": -1}, "least is negative"),
    ],
)
def test_a_filter_that_can_not_be_made_is_named(name: str, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        applied(Datatrove(filter=name, arguments=arguments), "hemp")


@pytest.mark.usefixtures("stand_in")
def test_what_a_filter_lacks_itself_is_said() -> None:
    with pytest.raises(MissingExtra, match="please install nltk"):
        applied(Datatrove(filter="ShortFilter", arguments={"least": 99}), "hemp")


@pytest.mark.skipif(find_spec("datatrove") is not None, reason="datatrove is installed")
def test_without_datatrove_the_extra_is_named_before_any_work() -> None:
    with pytest.raises(MissingExtra, match="GopherQualityFilter") as caught:
        Datatrove(filter="GopherQualityFilter").fingerprint()
    assert caught.value.remedy == "pip install 'ropewalk[datatrove]'"


@installed
def test_datatroves_own_filters_give_their_reasons() -> None:
    pytest.importorskip("spacy")
    change = applied(Datatrove(filter="GopherQualityFilter", arguments={"min_doc_words": 50}), PROSE, "Too short.", "# " * 200)
    gone = {row: rule.name for rule in reversed(change.rules) for row in range(3) if not rule.keeps[row]}
    assert 0 not in gone and gone[1] == "gopher_short_doc" and 2 in gone
    regex = applied(Datatrove(filter="RegexFilter", arguments={"regex_exp": "hemp"}), PROSE, "Too short.")
    assert [rule.keeps.tolist() for rule in regex.rules] == [[False, True]]
    assert Datatrove(filter="RegexFilter").fingerprint()["datatrove"]
