"""Chat templates come from strangers: no way out, a second, a mebibyte (S9)."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from jinja2 import nodes

from ropewalk.core.errors import DataError
from ropewalk.data.sandbox import MOST_CHARACTERS, Refusal, Sandbox

GROW = "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = "
PAYLOADS = {
    "classes of a text": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals of a method": "{{ messages.append.__globals__ }}",
    "globals of a function": "{{ range.__init__.__globals__ }}",
    "the attr filter": "{{ ''|attr('__class__') }}",
    "format reaches attributes": "{{ '{0.__class__}'.format(messages) }}",
    "format_map": "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "helpers of Jinja": "{{ cycler.__init__.__globals__.os }}",
    "lipsum": "{{ lipsum.__globals__ }}",
    "a file": "{% include '/etc/passwd' %}",
    "a module": "{% import 'os' as os %}{{ os }}",
    "changing what it is given": "{{ messages.append(1) }}",
    "a loop without end": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "a loop in a filter": "{% for i in range(99999) %}{{ range(99999)|map('string')|join|length }}{% endfor %}",
    "a macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "too long a range": "{{ range(10**9)|list }}",
    "a text times a number": "{{ 'a' * 10**9 }}",
    "a number times a text": "{{ 10**9 * 'a' }}",
    "a large power": "{{ 9 ** (9 ** 9) }}",
    "doubling by ~": GROW + "ns.x ~ ns.x %}{% endfor %}",
    "doubling by +": GROW + "ns.x + ns.x %}{% endfor %}",
    "doubling by join": GROW + "[ns.x, ns.x]|join %}{% endfor %}",
    "doubling by a text's join": GROW + "''.join([ns.x, ns.x]) %}{% endfor %}",
    "doubling by replace": GROW + "ns.x|replace('a', 'aa') %}{% endfor %}",
    "doubling by a text's replace": GROW + "ns.x.replace('a', 'aa') %}{% endfor %}",
    "lists in lists": "{% set ns = namespace(x=['a']) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "dicts in dicts": "{% set ns = namespace(x={}) %}{% for i in range(60) %}{% set ns.x = {'a': ns.x, 'b': ns.x} %}{% endfor %}",
    "padding": "{{ 'x'.center(10**9) }}",
    "padding by %": "{{ '%999999999d' % 1 }}",
    "padding by %*": "{{ '%*d' % (999999999, 1) }}",
    "indenting": "{{ 'a\n'|indent(10**9) }}",
    "indenting JSON": "{{ [[1]]|tojson(indent=10**9) }}",
    "much output": "{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}",
    "nested brackets": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "no template": "{% if %}",
    "a long template": " " * (MOST_CHARACTERS + 1),
}


def render(source: str, **variables: object) -> str:
    sandbox = Sandbox()
    template, _ = sandbox.prepare(source)
    return sandbox.write(template, variables)


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_what_breaks_out_or_runs_away_is_refused(payload: str) -> None:
    started = time.process_time()
    with pytest.raises(DataError, match="chat template"):
        render(payload, messages=[{"role": "user", "content": "hi"}])
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    "payload",
    [
        "{{ 'a' * 10**8 }}",
        "{{ 10**8 * 'a' }}",
        "{{ [0] * 10**8 }}",
        "{{ 'a' * 10**6 + 'a' * 10**6 }}",
        "{{ ('a' * 10**6)|replace('a', 'b' * 10**3) }}",
    ],
)
def test_what_is_too_large_is_never_made(payload: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="chat template"):
            render(payload)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% for m in messages %}{{ loop.index0 ~ m.role ~ m['content']|trim }}{% endfor %}", "0userhi"),
        ("{{ messages|tojson }}", '[{"role": "user", "content": " hi "}]'),
        ("{{ {'é': [1]}|tojson(indent=1) }}", '{\n "é": [\n  1\n ]\n}'),
        ("{{ ['a', 'b']|join(', ') }}{{ '-'.join(['c', 'd']) }}{{ messages|map(attribute='role')|join }}", "a, bc-duser"),
        ("{{ 'a.b'.replace('.', '') }}{{ 'aXa'|replace('a', 'b', 1) }}{{ 'x,y'.split(',')[1] }}", "abbXay"),
        ("{{ 3 * 2 + 2 ** 3 }}{{ 'ab' * 2 }}{{ '%s!' % 'hey' }}{{ 7 % 4 }}{{ [1] + [2] }}", "14ababhey!3[1, 2]"),
        ("{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "3"),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(1) }}{% set a, b = 1, 2 %}{{ a + b }}", "<1>3"),
        ("{{ missing is defined }}{{ missing }}{{ strftime_now is defined }}", "FalseFalse"),
        ("{{ messages[0].content.strip().startswith('h') and 'h' in 'ah' }}", "True"),
        ("{% generation %}a{% endgeneration %}b", "ab"),
    ],
)
def test_what_templates_do_works(source: str, expected: str) -> None:
    assert render(source, messages=[{"role": "user", "content": " hi "}]) == expected


def test_a_template_may_refuse() -> None:
    with pytest.raises(Refusal, match="roles must alternate"):
        render("{{ raise_exception('roles must alternate') }}")


def test_what_a_template_looks_at_is_known() -> None:
    assert Sandbox().prepare("{% if tools %}{{ messages }}{% endif %}{% set a = 1 %}{{ a }}")[1] == {"tools", "messages"}


def test_each_rendering_has_its_own_second() -> None:
    sandbox = Sandbox()
    template, _ = sandbox.prepare("{% for i in range(9) %}{{ i }}{% endfor %}")
    sandbox.deadline = -1.0
    assert sandbox.write(template, {}) == "012345678"
    assert isinstance(sandbox.parse("{{ 1 }}"), nodes.Template)
