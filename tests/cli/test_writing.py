"""`generate` and `chat` from the outside: streams, pipes, JSON, stages of runs, and mistakes that are named."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import ropewalk
from ropewalk.cli.main import app
from ropewalk.core.artifact import Manifest, commit
from ropewalk.core.errors import DataError, RopewalkError
from ropewalk.data.tokenizer import Vocabulary
from ropewalk.models.generate_module import generate
from ropewalk.models.model import load_model
from ropewalk.pipeline.open_model import find_model, open_model
from writing_kit import make_model

LENGTH = ["--max-tokens", "12", "--device", "cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("cli") / "tiny")


def call(*arguments: str, stdin: str = "") -> str:
    found = CliRunner().invoke(app, list(arguments), input=stdin, catch_exceptions=False, standalone_mode=False)
    if isinstance(found.exception, Exception):
        raise found.exception
    return found.stdout


def expected(folder: Path, prompt: str) -> str:
    vocabulary = Vocabulary(folder)
    ids = [vocabulary.bos_id, *vocabulary.encode([prompt])[0].tolist()]
    return vocabulary.decode(generate(load_model(folder), ids, 12), controls=False)


def test_one_prompt_is_continued_from_the_command_or_a_pipe(folder: Path) -> None:
    assert call("generate", str(folder), "the cat", *LENGTH) == expected(folder, "the cat") + "\n"
    assert call("generate", str(folder), *LENGTH, stdin="the cat") == expected(folder, "the cat") + "\n"


def test_several_prompts_are_told_apart(folder: Path) -> None:
    told = call("generate", str(folder), "the cat", "one", *LENGTH)
    assert told == "".join(f"> {prompt}\n{expected(folder, prompt)}\n\n" for prompt in ("the cat", "one"))
    found = json.loads(call("generate", str(folder), "the cat", "one", *LENGTH, "--json", "--batch", "1"))
    assert [one["text"] for one in found] == [expected(folder, prompt) for prompt in ("the cat", "one")]
    assert found[0] == {"prompt": "the cat", "text": expected(folder, "the cat"), "finish": "length", "tokens": 12}


def test_options_reach_the_draws(folder: Path) -> None:
    def text(*options: str) -> str:
        return call("generate", str(folder), "the", *LENGTH, *options)

    assert (
        text("--temperature", "1", "--seed", "1") == text("--temperature", "1", "--seed", "1") != text("--temperature", "1", "--seed", "2")
    )
    assert text("--temperature", "9", "--top-k", "1") == text("--temperature", "9", "--top-p", "1e-9") == text()
    stop = expected(folder, "the")[4:6]
    assert text("--stop", stop) == expected(folder, "the").partition(stop)[0] + "\n"


def test_a_pipe_is_one_turn_of_a_chat(folder: Path) -> None:
    answer = call("chat", str(folder), *LENGTH, stdin="the cat\nsat\n")
    found = json.loads(call("chat", str(folder), *LENGTH, "--json", stdin="the cat\nsat\n"))
    assert found == [{"role": "user", "content": "the cat\nsat"}, {"role": "assistant", "content": answer.removesuffix("\n")}]
    told = json.loads(call("chat", str(folder), *LENGTH, "--json", "--system", "be kind", stdin="hi"))
    assert [turn["role"] for turn in told] == ["system", "user", "assistant"]
    assert call("chat", str(folder), *LENGTH, stdin="  \n") == ""


def test_a_terminal_is_asked_line_by_line(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(ropewalk.__file__).parents[1]), "PYTHONIOENCODING": "utf-8"}
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ropewalk.cli.main", "chat", str(folder), *LENGTH, "--json"]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, env=environment, text=True) as process:
        os.write(ours, b"the cat\n\none two\n\x04")
        found = json.loads((process.communicate(timeout=100)[0]).strip())
    assert process.returncode == 0
    assert [(turn["role"], turn["content"]) for turn in found if turn["role"] == "user"] == [("user", "the cat"), ("user", "one two")]
    assert [turn["role"] for turn in found] == ["user", "assistant"] * 2
    os.close(ours)
    os.close(theirs)


def test_a_stage_of_a_run_is_named_by_run_and_stage(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draft = make_model(tmp_path / "draft")
    (tmp_path / "store" / "Model").mkdir(parents=True)
    commit(draft, tmp_path / "store" / "Model" / "abc", Manifest("Model", key="abc"))
    stages = tmp_path / "runs" / "mine" / "stages"
    stages.mkdir(parents=True)
    (stages / "sft").symlink_to("../../../store/Model/abc")
    (stages / "as_file").write_text("../../../store/Model/abc\n")
    assert find_model("mine:sft").key == find_model("mine:as_file").key == find_model("runs/mine:sft").key == "abc"
    assert find_model("runs/mine/stages/sft").key == find_model("path:runs/mine/stages/sft").key == "abc"
    assert call("generate", "mine:sft", "the cat", *LENGTH) == expected(folder, "the cat") + "\n"
    assert open_model("runs/mine/stages/sft", "cpu").name == "sft" and open_model("mine:sft", "cpu").name == "mine:sft"
    with pytest.raises(DataError, match=r"no finished stage 'sfd' .*did you mean 'sft'"):
        find_model("mine:sfd")
    with pytest.raises(DataError, match=r"no such run .*did you mean 'mine'"):
        find_model("mime:sft")
    weights = tmp_path / "store" / "Model" / "abc" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(DataError, match=r"damaged: model\.safetensors"):
        find_model("mine:sft")


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["generate", "nowhere", "x"], "no such folder", 3),
        (["generate", "gguf:nowhere.gguf", "x"], "no such file", 3),
        (["generate", "FOLDER", "x", "--stop", ""], "--stop must not hold an empty text", 2),
        (["generate", "FOLDER", "x", "--top-p", "0"], "--top-p must be above 0", 2),
        (["generate", "FOLDER", "cat " * 200], "leaves no room for an answer", 3),
    ],
)
def test_mistakes_are_named(arguments: list[str], said: str, code: int, folder: Path) -> None:
    given: Any = [str(folder) if word == "FOLDER" else word for word in arguments]
    with pytest.raises(RopewalkError) as caught:
        call(*given)
    assert said in str(caught.value).replace("\n", " ").replace(": must", " must") and caught.value.exit_code == code


def test_a_hub_name_is_read_from_the_cache_and_never_guessed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    from ropewalk.core.errors import NetworkError

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    place = tmp_path / "models--mine--tiny"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("a" * 40)
    make_model(place / "snapshots" / ("a" * 40))
    assert call("generate", "hf:mine/tiny", "the cat", *LENGTH) == expected(folder, "the cat") + "\n"
    with pytest.raises(NetworkError, match="hf:mine/other: can't be fetched"):
        find_model("hf:mine/other")
    with pytest.raises(DataError, match="hf:OWNER/NAME"):
        find_model("hf:mine/tiny/more")
