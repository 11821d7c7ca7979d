"""Every instruction set under DATA_DIR, found out, formatted and rendered in every template; `-s` shows the table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from chat_kit import make_vocabulary
from ropewalk.data.chat import TEMPLATES, Writer
from ropewalk.data.chats import Chats
from ropewalk.data.masks import encode_pieces
from ropewalk.data.records import Rejected
from ropewalk.data.tokens import Tokens
from ropewalk.pipeline.recipe import load

RECIPE = Path(__file__).parents[2] / "recipes" / "formats.yaml"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_all_instruction_sets_are_found_out_formatted_and_rendered(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    run = load(RECIPE, [f"store={tmp_path / 'store'}", f"runs={tmp_path / 'runs'}", "vocab.size=1024"]).run(quiet=True)
    chats, rationales, turns = run["chats"], run["rationales"], run["turns"]
    assert isinstance(chats, Chats) and isinstance(rationales, Chats) and isinstance(turns, Tokens)
    found = {**chats.manifest.metrics, **rationales.manifest.metrics}
    formats = {name.removeprefix("formats/"): str(one).partition(" ")[0] for name, one in found.items() if name.startswith("formats/")}
    assert len(formats) == 30 and len(set(formats.values())) == 15
    counts = turns.manifest.counts
    assert counts["records_in"] == chats.manifest.counts["kept"] + rationales.manifest.counts["kept"] > 1500
    assert counts["kept"] > 0.9 * counts["records_in"] and set(turns.manifest.counts) >= {"dropped/too_long"}
    assert {name for name in counts if name.startswith("dropped/")} == {"dropped/too_long"}
    words = make_vocabulary(tmp_path / "words")
    everything = [*chats.chats(), *rationales.chats()]
    per_source = Counter(chat.source for chat in everything)
    for name in sorted(TEMPLATES):
        writer, trained, total = Writer(TEMPLATES[name], words), 0, 0
        for chat in everything[::9]:
            rendering = writer.write(chat)
            assert not isinstance(rendering, Rejected) and not rendering.unended and not rendering.ends_added, (name, chat.id, rendering)
            ids, mask = encode_pieces(rendering.pieces, words)
            assert words.decode(ids) == rendering.text and (ids == words.bos_id).sum() == 1
            spoken = sum(turn.role == "assistant" for turn in chat.messages)
            assert rendering.turns == spoken and mask[1:].any()
            trained, total = trained + int(mask.sum()), total + len(ids)
        print(f"{name:10} {total:9,} tokens, {trained / total:.0%} trained")  # noqa: T201
    for name, one in sorted(formats.items()):
        print(f"{name:45} {one}")  # noqa: T201
    print(dict(per_source))  # noqa: T201
