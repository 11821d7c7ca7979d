"""Conditions: what Python would say of each row and nothing outside the list; missing values are not true, mistakes are named."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.core.errors import DataError
from ropewalk.data.condition import FUNCTIONS, Condition
from ropewalk.data.condition_values import meta_column

ROWS = [
    {"text": "Hemp and tar.\nTwo lines, seven words", "source": "books", "year": 1850, "low": 0.5},
    {"text": "", "source": "web", "year": 2020, "low": -1.0},
    {"text": "Ünïcode ropes", "source": "books", "year": 0, "low": 120.0},
    {"text": "12.5", "source": "Web", "year": 3, "low": 3.0},
]
COLUMNS = {
    "text": pa.array([row["text"] for row in ROWS], pa.large_string()),
    "source": pa.array([row["source"] for row in ROWS]),
    "meta.year": pa.array([row["year"] for row in ROWS]),
    "score.low": pa.array([row["low"] for row in ROWS], pa.float64()),
}


def truth(text: str, columns: dict[str, pa.Array] | None = None) -> list[Any]:
    found: list[Any] = Condition.parse(text).evaluate((columns or COLUMNS).__getitem__).to_pylist()
    return found


class Row:
    """What `meta` and `score` are to Python."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


NAMES = {
    "length": len,
    "bytes": lambda text: len(text.encode()),
    "words": lambda text: len(text.split()),
    "lines": lambda text: text.count("\n") + 1,
    "lower": str.lower,
    "contains": lambda text, part: part in text,
    "starts_with": str.startswith,
    "ends_with": str.endswith,
}
NUMBERS = st.sampled_from(
    [
        "length(text)",
        "bytes(text)",
        "words(text)",
        "lines(text)",
        "meta.year",
        "score.low",
        "3",
        "-1",
        "0.5",
        "2020",
        "(length(text) / 2 + 1)",
    ]
)
TEXTS = st.sampled_from(["text", "source", "lower(source)", "lower(text)"])
LEAVES = st.one_of(
    st.builds("{} {} {}".format, NUMBERS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS),
    st.builds("{} < {} <= {}".format, NUMBERS, NUMBERS, NUMBERS),
    st.builds('{} {} "{}"'.format, TEXTS, st.sampled_from(["==", "!=", "<", ">="]), st.sampled_from(["books", "web", ""])),
    st.builds('"{}" {} {}'.format, st.sampled_from(["e", "web", "."]), st.sampled_from(["in", "not in"]), TEXTS),
    st.builds('{} {} ["books", "12.5"]'.format, TEXTS, st.sampled_from(["in", "not in"])),
    st.builds('{}({}, "b")'.format, st.sampled_from(["contains", "starts_with", "ends_with"]), TEXTS),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds("({} and {})".format, inner, inner) | st.builds("({} or {})".format, inner, inner) | st.builds("(not {})".format, inner)
    ),
    max_leaves=6,
)


@given(CONDITIONS)
def test_a_condition_is_worth_what_python_says_of_each_row(text: str) -> None:
    text = f"({text}) and length(text) >= 0"  # one with constants only asks for no column
    scope = [{"text": row["text"], "source": row["source"], "meta": Row(year=row["year"]), "score": Row(low=row["low"])} for row in ROWS]
    assert truth(text) == [bool(eval(text, dict(NAMES), row)) for row in scope], text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('sorce == "books"', "no column 'sorce' at column 1 (did you mean 'source'?)"),
        ("length(text) > 3 and lenth(text) < 9", "no function 'lenth' at column 22 (did you mean 'length'?)"),
        ("len(text) > 3", "did you mean 'length'?"),
        ("score > 3", "write score.NAME"),
        ("metadata.year > 3", "no column 'metadata.year'"),
        ("source == ", "can't read the condition"),
        ("1 == 1", "must ask for a column"),
        ("text == None", "goes with `is`"),
        ("text is 3", "is for None only"),
        ("text in source", "needs a list"),
        ("text == [1]", "goes with `in`"),
        ("text in []", "needs one"),
        ("matches(text, '(')", "pattern at column 15"),
        ("matches(text, source)", "second value must be a text"),
        ("contains(text)", "takes 2 values"),
        ("length(text, text) > 1", "takes 1 value"),
        ("length(text) ** 9 > 1", "arithmetic is + - * /"),
        ("~length(text) > 1", "use not or -"),
        ("text == b'x'", "can't be compared"),
        ("not " * 60 + "source", "nested more than"),
        ("source == '" + "x" * 5000 + "'", "too long"),
    ],
)
def test_a_mistake_is_named_with_its_column_and_the_way_out(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Condition.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "text.__class__.__mro__",
        "().__class__",
        "[x for x in text]",
        "(lambda: text)()",
        "text if source else id",
        "f'{text}' == 'a'",
        "text[0] == 'a'",
        "(text := 'a') == 'a'",
        "open('/etc/passwd') == text",
        "length(*text) > 1",
        "length(text=text) > 1",
        "length.__call__(text) > 1",
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="column"):
        Condition.parse(text)


def test_missing_values_are_unknown_and_an_or_may_still_be_true() -> None:
    columns = {"meta.year": pa.array([1, None]), "source": pa.array(["a", "a"]), "meta.none": pa.nulls(2)}
    assert truth("meta.year > 0", columns) == [True, None]
    assert truth("not meta.year > 0", columns) == [False, None]
    assert truth('meta.year > 0 or source == "a"', columns) == [True, True]
    assert truth('meta.year > 0 and source == "b"', columns) == [False, False]
    assert truth("meta.year is None", columns) == [False, True] and truth("meta.year is not None", columns) == [True, False]
    assert truth("meta.year not in [2]", columns) == [True, None]
    assert truth('meta.none == "x"', columns) == [None, None] and truth("meta.none in [1]", columns) == [None, None]


def test_numbers_in_text_regular_expressions_and_zero() -> None:
    assert truth("number(text) > 12") == [None, None, None, True]
    assert truth('matches(text, "^[A-Z]")') == [True, False, False, False]
    assert truth("length(text) / meta.year > 1000") == [False, False, True, False]  # 13 / 0 is infinite, and 0 / 2020 is 0
    assert truth("meta.year / 2 == 1.5") == [False, False, False, True]


@pytest.mark.parametrize(
    "text", ["source > 3", "length(score.low) > 1", "source + 1 > 2", "source", "length(text)", "meta.year and source == 'a'"]
)
def test_types_that_do_not_fit_are_a_data_error(text: str) -> None:
    with pytest.raises(DataError):
        truth(text)


def test_names_that_python_could_not_write() -> None:
    condition = Condition.parse('score["repetition.max_top_ngram.2"] < 1 and meta["first name"] == "a"')
    assert condition.columns == ("score.repetition.max_top_ngram.2", "meta.first name")
    assert condition.scores() == ["repetition.max_top_ngram.2"]
    assert pickle.loads(pickle.dumps(condition)).columns == condition.columns


def test_meta_is_read_at_dotted_paths() -> None:
    metas = ['{"a": {"b": 1}}', "{}", '{"a": {"b": 2.5}}', '{"a": {"b": [1]}}', ""]
    assert meta_column(metas, "a.b").to_pylist() == [1, None, 2.5, None, None]
    with pytest.raises(DataError, match=r"meta\.a is int and str"):
        meta_column(['{"a": 1}', '{"a": "x"}'], "a")


def test_every_function_is_tried() -> None:
    assert set(NAMES) | {"number", "matches"} == set(FUNCTIONS)
