"""The tokenizer stage: trained on a corpus or loaded, with the control tokens that a chat template wants, and measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version as library_version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from ropewalk.core.artifact import Artifact, hash_file
from ropewalk.core.component import RUNTIME
from ropewalk.core.errors import DataError
from ropewalk.core.reference import Ref
from ropewalk.core.units import Bytes, Count
from ropewalk.data.chat import TEMPLATES, Writer
from ropewalk.data.corpus import Corpus
from ropewalk.data.encoder import Engine, Resolved, choose_engine, open_encoder, resolve_engine
from ropewalk.data.templates import CONTROLS
from ropewalk.data.tokenizer import END, Pretokenizer, Tokenizer, Vocabulary, save_tokenizer
from ropewalk.data.tokenizer_facts import Measured, changed_characters, measure, vocabulary_facts
from ropewalk.data.tokenizer_import import load_tokenizer, tokenizer_files
from ropewalk.pipeline.stage import Context, Facts, Stage

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Trained

ALPHABET = 256
FALLBACK_IDS = 1 + 256
MEASURED_BYTES: dict[Resolved, int] = {"tokenizers": 4 << 20, "gigatoken": 256 << 20}
TRAINING = ("size", "kind", "min_frequency", "split_digits", "byte_fallback", "sample", "engine")


class TrainTokenizer(Stage, type="tokenizer"):
    """Trains a tokenizer, byte-level BPE unless told otherwise, or loads one; the same corpus gives the same file anywhere."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)
    makes: ClassVar[type[Artifact]] = Tokenizer

    input: Ref[Corpus] | None = None
    """The corpus to learn from; for a loaded tokenizer, what to measure it on."""
    from_: Path | None = Field(default=None, alias="from")
    """A tokenizer to load instead: a tokenizer.json, a Hugging Face folder, vocab.json with merges.txt, or tiktoken's ranks."""
    kind: Literal["bpe", "unigram", "wordpiece"] = "bpe"
    """bpe merges bytes, unigram chooses likely pieces; wordpiece can be loaded but not trained: each training finds another one."""
    size: Annotated[Count, Field(gt=0)] = 4096
    """Number of ids, control tokens included; at most as many as the corpus has merges for."""
    special: Literal["none", "alpaca", "chatml", "gemma", "llama3", "mistral", "plain", "qwen3", "zephyr"] = "none"
    """Control tokens for a chat template."""
    min_frequency: int = Field(default=2, ge=1)
    """A pair seen less often is not merged."""
    pretokenizer: Pretokenizer | None = None
    """Whose rule cuts text into words before merging; gpt2 when left out. Ranks of tiktoken don't say theirs: it must be given."""
    split_digits: bool = False
    """Whether each digit is a word of its own."""
    byte_fallback: bool = False
    """For unigram: pieces of characters, with bytes for what they don't cover, instead of pieces of bytes. A `▁` comes back as a blank."""
    sample: Annotated[Bytes, Field(gt=0)] | None = None
    """Learn from about so much text, drawn by the documents' ids; all of it when left out."""
    compare: Path | None = None
    """Another tokenizer, as in `from`, to be measured on the same text."""
    engine: Annotated[Engine, RUNTIME] = "auto"
    """What trains: gigatoken (extra `fast`) where it is installed and finds the same merges, or tokenizers."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.input is None and self.from_ is None:
            raise ValueError("needs input (a corpus to learn from) or from (a tokenizer to load)")
        idle = [name for name in TRAINING if getattr(self, name) != type(self).model_fields[name].default] if self.from_ else []
        if idle:
            raise ValueError(f"{', '.join(idle)}: a loaded tokenizer is not trained; leave it out, or leave out from")
        return self

    def fingerprint(self) -> Any:
        """The libraries' versions, what trains, and the files that are read."""
        found: dict[str, Any] = {"tokenizers": library_version("tokenizers")}
        if self.from_ is None and self.trainer() == "gigatoken":
            found["gigatoken"] = library_version("gigatoken")
        for name, place in (("from", self.from_), ("compare", self.compare)):
            if place is not None and place.exists():
                found[name] = [hash_file(path) for path in tokenizer_files(place)]
        return found

    @property
    def controls(self) -> tuple[str, ...]:
        return (END, *CONTROLS.get(self.special, ()))

    @property
    def words(self) -> Pretokenizer:
        """The rule that a trained tokenizer cuts text by."""
        return self.pretokenizer or "gpt2"

    def trainer(self) -> Resolved:
        """gigatoken knows byte-level BPE with GPT-2's words only."""
        known = self.kind == "bpe" and self.words == "gpt2" and not self.split_digits
        return resolve_engine(self.engine) if known else "tokenizers"

    def problems(self, upstream: Mapping[str, Stage | Artifact]) -> list[tuple[str, str]]:
        found = []
        for name, place in (("from", self.from_), ("compare", self.compare)):
            if place is not None and not place.exists():
                found.append((name, f"nothing is at {place}"))
        if self.from_ is not None:
            return found
        if self.kind == "wordpiece":
            advice = "train bpe or unigram, or load a finished one by `from`"
            found.append(("kind", f"each training of wordpiece finds another vocabulary on the same text: {advice}"))
        if self.byte_fallback and self.kind != "unigram":
            found.append(("byte_fallback", "bpe merges bytes, so nothing is left to fall back from: leave it out, or set kind: unigram"))
        if self.engine == "gigatoken" and (self.kind != "bpe" or self.words != "gpt2" or self.split_digits):
            found.append(("engine", "gigatoken trains bpe with the gpt2 pretokenizer only: set engine: auto"))
        least = (FALLBACK_IDS if self.byte_fallback else ALPHABET + (self.kind == "unigram")) + len(self.controls)
        if self.size < least:
            parts = f"{ALPHABET} bytes and {least - ALPHABET} for control tokens"
            found.append(("size", f"{self.size} is too small: set at least {least}, {parts}"))
        return found

    def make(self, context: Context) -> Facts:
        corpus = context.open(self.input) if self.input is not None else None
        metrics: dict[str, Any] = {}
        if self.from_ is not None:
            engine, ends, template = load_tokenizer(self.from_, self.pretokenizer, self.controls if self.special != "none" else ())
        else:
            assert corpus is not None
            engine, metrics = self._trained(context, corpus)
            ends, template = (END, END, END), ""
            if metrics["size"] < self.size:
                message = "%s: the corpus has words for %d ids, not %d; more text, or min_frequency: 1, makes more"
                context.log.warning(message, context.name, metrics["size"], self.size)
        save_tokenizer(engine, context.out, template, ends)
        if self.special in TEMPLATES:
            save_tokenizer(engine, context.out, Writer(TEMPLATES[self.special], Vocabulary(context.out)).jinja, ends)
        vocabulary = Vocabulary(context.out)
        return Facts(metrics={**metrics, "size": vocabulary.size, **self._measured(context, vocabulary, corpus)})

    def _trained(self, context: Context, corpus: Corpus) -> tuple[Trained, dict[str, Any]]:
        from ropewalk.data.tokenizer_training import Training, train

        total_bytes = sum(table["text"].nbytes for table in corpus.tables()) if self.sample else 0
        share = min(1.0, self.sample / total_bytes) if self.sample and total_bytes else 1.0
        files = [shard.content for shard in corpus.shards()]
        settings = Training(
            self.kind, self.size, self.controls, self.min_frequency, self.words, self.split_digits, self.byte_fallback, share
        )
        with context.progress(context.name, corpus.num_documents, "documents") as bar:
            found = train(settings, files, self.trainer(), context.work, bar.advance)
        if found.fallback:
            context.log.warning("%s: trained with tokenizers, not gigatoken: %s", context.name, found.fallback)
        if not found.text_bytes:
            raise DataError(f"{context.name}: the corpus has no text to learn from")
        metrics = {"size": found.engine.get_vocab_size(), "corpus_bytes": found.text_bytes, "trained_by": found.trained_by}
        return found.engine, metrics

    def _measured(self, context: Context, vocabulary: Vocabulary, corpus: Corpus | None) -> dict[str, Any]:
        """Numbers for the report; the words behind them are in facts.json."""
        if corpus is None:
            return {"changed_characters": changed_characters(vocabulary)}
        measured = self._on_corpus(vocabulary, corpus)
        facts = {**measured.facts(), **vocabulary_facts(vocabulary, measured.seen), "measured_bytes": measured.text_bytes.total()}
        if self.compare is not None:
            folder = context.work / "compared"
            engine, ends, _ = load_tokenizer(self.compare, self.pretokenizer, ())
            save_tokenizer(engine, folder, ends=ends)
            other = Vocabulary(folder)
            theirs = self._on_corpus(other, corpus).facts()
            facts |= {f"compare/{name}": value for name, value in {**theirs, "size": other.size}.items()}
        (context.out / "facts.json").write_text(json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
        return {name: value for name, value in facts.items() if isinstance(value, int | float)}

    def _on_corpus(self, vocabulary: Vocabulary, corpus: Corpus) -> Measured:
        chosen, _ = choose_engine(vocabulary, self.engine, [shard.content for shard in corpus.shards()])
        return measure(vocabulary, corpus.tables(), open_encoder(vocabulary, chosen), MEASURED_BYTES[chosen])
