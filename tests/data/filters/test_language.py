"""Language identification: py3langid's own answers, from the bytes asked for, without NaN on empty texts."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]
from pydantic import ValidationError

from ropewalk.core.errors import ConfigError, MissingExtra
from ropewalk.data.classify.language import languages
from ropewalk.data.corpus import from_documents
from ropewalk.data.dedup.hash import Texts
from ropewalk.data.filters.language import Language
from ropewalk.data.records import Document
from ropewalk.data.steps import Batch, Change

ENGLISH = "The rope is made of strands that are twisted together, and each strand is made of many yarns of hemp."
TEXTS = [
    ENGLISH,
    ENGLISH.upper(),
    "Das Seil besteht aus Litzen, die miteinander verdreht sind, und jede Litze besteht aus vielen Garnen aus Hanf.",
    "La corde est faite de torons qui sont tordus ensemble, et chaque toron est fait de nombreux fils de chanvre.",
    "Канат состоит из прядей, скрученных вместе, и каждая прядь состоит из множества пеньковых нитей.",
    "绳子由多股绳索拧在一起制成，每股绳索由许多麻纱制成。",  # noqa: RUF001
    "ΤΟ ΣΧΟΙΝΙ ΕΙΝΑΙ ΦΤΙΑΓΜΕΝΟ ΑΠΟ ΚΛΩΝΟΥΣ",  # noqa: RUF001
    "Uz\u030ce je spleteno z prameni\u030c",  # not in NFC
    "Уже је направљено од праменова који су уплетени заједно.",  # noqa: RUF001
    "a", "", " ", "12345", "\u3000", "…",
]  # fmt: skip


def batch(*texts: str) -> Batch:
    return Batch(from_documents([Document(f"d{number}", text) for number, text in enumerate(texts)]))


def judged(step: Language, *texts: str) -> Change:
    return step.apply(batch(*texts))


@pytest.fixture(scope="module")
def package() -> Any:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def test_probabilities_are_the_packages_own(package: Any) -> None:
    found = languages().probabilities(Texts.of(pa.array(TEXTS, pa.large_string())), 0)
    labels = languages().labels
    for text, row in zip(TEXTS, found, strict=True):
        expected = dict(package.rank(text))
        for label in set(labels):
            assert row[labels.index(label)] == pytest.approx(expected[label], abs=1e-4), (text, label)
        assert row.sum() == pytest.approx(1.0, abs=1e-5) and labels[int(row.argmax())] == package.classify(text)[0]


def test_only_the_first_bytes_are_read_and_no_half_character(package: Any) -> None:
    texts = [TEXTS[4] * 20, ENGLISH * 5 + TEXTS[2] * 9]
    found = languages().probabilities(Texts.of(pa.array(texts, pa.large_string())), 301)
    for text, row in zip(texts, found, strict=True):
        label, probability = package.classify(text.encode()[:301])
        assert languages().labels[int(row.argmax())] == label and row.max() == pytest.approx(probability, abs=1e-4)


def test_documents_in_other_languages_go() -> None:
    change = judged(Language(), *TEXTS)
    assert change.rules[0].keeps.tolist() == [True, True] + [False] * (len(TEXTS) - 2)
    assert change.counts["en"][:3] == [1, 1, 0] and change.counts["de"][2] == 1
    assert np.sum(list(change.counts.values()), axis=0).tolist() == [1] * len(TEXTS)
    both = judged(Language(keep=["en", "de"], at_least=0.5), *TEXTS[:4])
    assert both.rules[0].keeps.tolist() == [True, True, True, False]


def test_empty_texts_have_a_score_and_none_is_kept() -> None:
    rule = judged(Language(), "", " ", "\u3000", "…").rules[0]
    assert np.isfinite(rule.values).all() and not rule.keeps.any()
    assert len(judged(Language()).rules[0].keeps) == 0


def test_a_language_that_the_model_does_not_know_is_named() -> None:
    with pytest.raises(ConfigError, match="keep names xx, which its model does not know"):
        judged(Language(keep=["en", "xx"]), ENGLISH)
    with pytest.raises(ValidationError):
        Language(keep=["English"])


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    assert set(Language().fingerprint()) == {"py3langid"}
    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(MissingExtra, match="py3langid") as error:
        Language().fingerprint()
    assert "ropewalk[data]" in error.value.remedy and error.value.exit_code == 10
