"""How often our quality rules and datatrove's decide the same, rule by rule, when both count the same words.

    python benchmarks/data/agreement.py --corpus CORPUS.jsonl --peer VENV/bin/python [--limit 4000]

The corpus has a document a line with its `text`. The peer's interpreter has datatrove 0.10.1 and spaCy (for its sentences); its words are
replaced by runs between white space, each of its rules is switched on alone, and the thresholds are ours.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

GOPHER_OFF = dict.fromkeys(
    (
        *("min_doc_words", "max_doc_words", "min_avg_word_length", "max_avg_word_length", "max_symbol_word_ratio"),
        *("max_bullet_lines_ratio", "max_ellipsis_lines_ratio", "max_non_alpha_words_ratio", "min_stop_words"),
    )
)
REPETITION_OFF = {"dup_line_frac": None, "dup_para_frac": None, "dup_line_char_frac": None, "dup_para_char_frac": None}
FINEWEB_OFF = {"line_punct_thr": 0, "short_line_thr": 2, "char_duplicates_ratio": 2, "new_line_ratio": 1e9}
C4_OFF = {"filter_lorem_ipsum": False, "filter_curly_bracket": False, "min_num_sentences": 0}
TOP, DUPLICATE = {2: 0.2, 3: 0.18, 4: 0.16}, {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.1}


def texts_of(corpus: Path, limit: int) -> list[str]:
    with corpus.open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for _, line in zip(range(limit), lines, strict=False)]


def peer_rules() -> dict[str, Callable[[str], str]]:
    """Our rule's name -> datatrove's verdict of a text: keep, drop, or the name of what it raised; runs where datatrove is installed."""
    document_of = importlib.import_module("datatrove.data").Document
    c4_filters, fineweb_quality_filter, gopher_quality_filter, gopher_repetition_filter = (
        importlib.import_module(f"datatrove.pipeline.filters.{name}")
        for name in ("c4_filters", "fineweb_quality_filter", "gopher_quality_filter", "gopher_repetition_filter")
    )
    for module in (fineweb_quality_filter, gopher_quality_filter, gopher_repetition_filter):
        vars(module)["split_into_words"] = lambda text, language: text.split()

    def verdict(made: Any) -> Callable[[str], str]:
        def judge(text: str) -> str:
            document = document_of(text=text, id="0")
            try:
                answer = made.filter(document)
            except Exception as error:
                return type(error).__name__
            kept = answer is True or (isinstance(answer, tuple) and answer[0])
            return f"keep{document.text if isinstance(made, c4_filters.C4QualityFilter) else ''}" if kept else "drop"

        return judge

    def gopher(**on: Any) -> Callable[[str], str]:
        return verdict(gopher_quality_filter.GopherQualityFilter(**{**GOPHER_OFF, **on}))

    def repetition(top: tuple[Any, ...] = (), duplicate: tuple[Any, ...] = (), **on: Any) -> Callable[[str], str]:
        made = gopher_repetition_filter.GopherRepetitionFilter(**{**REPETITION_OFF, **on}, top_n_grams=top, dup_n_grams=duplicate)
        return verdict(made)

    def fineweb(**on: Any) -> Callable[[str], str]:
        return verdict(fineweb_quality_filter.FineWebQualityFilter(**{**FINEWEB_OFF, **on}))

    def c4(**on: Any) -> Callable[[str], str]:
        return verdict(c4_filters.C4QualityFilter(**{**C4_OFF, "min_words_per_line": 5, **on}))

    return {
        "gopher.min_words": gopher(min_doc_words=50),
        "gopher.max_words": gopher(max_doc_words=100_000),
        "gopher.min_mean_word_length": gopher(min_avg_word_length=3),
        "gopher.max_mean_word_length": gopher(max_avg_word_length=10),
        "gopher.max_hash_ratio+max_ellipsis_ratio": gopher(max_symbol_word_ratio=0.1),
        "gopher.max_bullet_lines_ratio": gopher(max_bullet_lines_ratio=0.9),
        "gopher.max_ellipsis_lines_ratio": gopher(max_ellipsis_lines_ratio=0.3),
        "gopher.min_alpha_words_ratio": gopher(max_non_alpha_words_ratio=0.8),
        "gopher.min_stop_words": gopher(min_stop_words=2),
        "repetition.max_duplicate_lines": repetition(dup_line_frac=0.3),
        "repetition.max_duplicate_line_characters": repetition(dup_line_char_frac=0.2),
        "repetition.max_duplicate_paragraphs": repetition(dup_para_frac=0.3),
        "repetition.max_duplicate_paragraph_characters": repetition(dup_para_char_frac=0.2),
        **{f"repetition.max_top_ngram.{size}": repetition(top=((size, most),)) for size, most in TOP.items()},
        **{f"repetition.max_duplicate_ngrams.{size}": repetition(duplicate=((size, most),)) for size, most in DUPLICATE.items()},
        "fineweb.min_end_mark_lines_ratio": fineweb(line_punct_thr=0.12),
        "fineweb.max_short_lines_ratio": fineweb(short_line_thr=0.67),
        "fineweb.max_duplicate_line_characters": fineweb(char_duplicates_ratio=0.1),
        "fineweb.max_newlines_ratio": fineweb(new_line_ratio=0.3),
        "c4.max_lorem_ipsum_lines": c4(filter_lorem_ipsum=True),
        "c4.max_curly_bracket_lines": c4(filter_curly_bracket=True),
        "c4.min_sentences": c4(min_num_sentences=3),
    }


def own_rules(texts: list[str]) -> Iterator[tuple[str, list[bool], list[float]]]:
    """(name, kept, score) of each of our rules by its defaults, and the texts that C4 leaves as the last."""
    from ropewalk.data.corpus import from_documents
    from ropewalk.data.filters.c4 import C4
    from ropewalk.data.filters.fineweb import FineWeb
    from ropewalk.data.filters.gopher import Gopher
    from ropewalk.data.filters.repetition import Repetition
    from ropewalk.data.records import Document
    from ropewalk.data.steps import Batch

    batch = Batch(from_documents(Document(str(number), text) for number, text in enumerate(texts)))
    for step in (Gopher(), Repetition(), FineWeb(), C4()):
        for rule in step.apply(batch).rules:
            yield f"{step.tag}.{rule.name}", rule.keeps.tolist(), rule.values.tolist()


def own_c4_texts(texts: list[str]) -> list[str]:
    from ropewalk.data.corpus import from_documents
    from ropewalk.data.filters.c4 import C4
    from ropewalk.data.records import Document
    from ropewalk.data.steps import Batch, as_column

    change = C4().apply(Batch(from_documents(Document(str(number), text) for number, text in enumerate(texts))))
    left: list[str] = as_column(change.texts or []).to_pylist()
    return left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=4000)
    parser.add_argument("--peer", help="the interpreter that has datatrove")
    parser.add_argument("--examples", type=int, default=0, help="documents shown of each disagreement")
    asked = parser.parse_args()
    texts = texts_of(asked.corpus, asked.limit)
    if not asked.peer:  # this is the peer's half
        for name, judge in peer_rules().items():
            print(json.dumps([name, [judge(text) for text in texts]]))
        return
    command = [asked.peer, __file__, "--corpus", str(asked.corpus), "--limit", str(asked.limit)]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    peers: dict[str, list[str]] = dict(json.loads(line) for line in lines if line.startswith('["'))
    ours = {name: (kept, scores) for name, kept, scores in own_rules(texts)}
    kept, scores = ours.pop("gopher.max_hash_ratio")
    both = ours.pop("gopher.max_ellipsis_ratio")
    ours["gopher.max_hash_ratio+max_ellipsis_ratio"] = (
        [a and b for a, b in zip(kept, both[0], strict=True)],
        list(map(max, scores, both[1])),
    )
    print(f"{len(texts):,} documents, {sum(len(text.encode()) for text in texts) / 1e6:.1f} MB\n")
    print("| rule | agree | dropped by both | by ours alone | by datatrove alone | datatrove raises |\n|---|---|---|---|---|---|")
    for name, verdicts in peers.items():
        kept, scores = ours[name]
        pairs = [(own, verdict[:4]) for own, verdict in zip(kept, verdicts, strict=True)]
        rows = [pairs.count((False, "drop")), pairs.count((False, "keep")), pairs.count((True, "drop"))]
        raised = sum(verdict not in ("keep", "drop") for _, verdict in pairs)
        agree = (rows[0] + pairs.count((True, "keep"))) / max(len(pairs) - raised, 1)
        print(f"| `{name}` | {agree:.2%} | {' | '.join(f'{row:,}' for row in rows)} | {raised:,} |")
        odd = [number for number, pair in enumerate(pairs) if pair in ((False, "keep"), (True, "drop"))]
        for number in odd[: asked.examples]:
            print(
                f"    {number} score {scores[number]:.4f} {'kept' if kept[number] else 'dropped'} {texts[number][:300]!r}", file=sys.stderr
            )
    left = own_c4_texts(texts)
    judged = [(own, verdict[4:]) for own, verdict, keep in zip(left, peers["c4.min_sentences"], ours["c4.min_sentences"][0], strict=True)
              if keep and verdict.startswith("keep")]  # fmt: skip
    same = sum(own == peer for own, peer in judged)
    print(f"\nC4 leaves the same bytes of {same:,} of {len(judged):,} documents that both keep ({same / max(len(judged), 1):.2%}).")
    for own, peer in [pair for pair in judged if pair[0] != pair[1]][: asked.examples]:
        mine, theirs = set(own.split("\n")), set(peer.split("\n"))
        print(f"    ours {sorted(mine - theirs)[:3]!r} theirs {sorted(theirs - mine)[:3]!r}", file=sys.stderr)


if __name__ == "__main__":
    main()
