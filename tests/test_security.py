"""Nothing in ropewalk runs what it reads, and importing it touches no network."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

import ropewalk
import security_rules

SOURCE = Path(ropewalk.__file__).parent
BENCHMARKS = SOURCE.parents[1] / "benchmarks"
ALLOWED: dict[tuple[str, str], str] = {}
"""(path below src/ropewalk, call) -> why it is safe there."""


def test_no_call_in_ropewalk_opens_a_door() -> None:
    faults = security_rules.door_faults(SOURCE, ALLOWED) + security_rules.door_faults(BENCHMARKS)
    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("import pickle\npickle.load(f)", "pickle.load"),
        ("import pickle as p\np.loads(b)", "pickle.loads"),
        ("from pickle import loads as read\nread(b)", "pickle.loads"),
        ("import dill\ndill.load(f)", "dill.load"),
        ("import joblib\njoblib.load(f)", "joblib.load"),
        ("import marshal\nmarshal.loads(b)", "marshal.loads"),
        ("import shelve\nshelve.open(f)", "shelve.open"),
        ("import torch\ntorch.load(f)", "torch.load"),
        ("def f():\n    from torch import load\n    return load(p, weights_only=True)", "torch.load"),
        ("import torch.hub\ntorch.hub.load(f)", "torch.hub.load"),
        ("import yaml\nyaml.load(t, Loader=yaml.SafeLoader)", "yaml.load"),
        ("import yaml\nyaml.unsafe_load(t)", "yaml.unsafe_load"),
        ("eval(text)", "eval"),
        ("exec(text)", "exec"),
        ("list(map(eval, lines))", "eval"),
        ("import builtins\nbuiltins.exec(text)", "builtins.exec"),
        ("import os\nos.system(line)", "os.system"),
        ("from os import system\nsystem(line)", "os.system"),
        ("import subprocess\nsubprocess.run(line, shell=True)", "shell=True"),
        ("import subprocess\nsubprocess.run(line, shell=wanted)", "shell=wanted"),
        ("import subprocess\nsubprocess.getoutput(line)", "subprocess.getoutput"),
        ("load(name, trust_remote_code=True)", "trust_remote_code=True"),
        ("load(name, **{'trust_remote_code': True})", "trust_remote_code=True"),
        ("import numpy as np\nnp.load(f, allow_pickle=True)", "allow_pickle=True"),
        ("get(address, verify=False)", "verify=False"),
        ("archive.extractall(folder)", "extractall"),
        ("import shutil\nshutil.unpack_archive(f)", "shutil.unpack_archive"),
    ],
)
def test_each_door_is_seen(tmp_path: Path, text: str, call: str) -> None:
    (tmp_path / "module.py").write_text(text + "\n")
    faults = security_rules.door_faults(tmp_path)
    assert [fault.rpartition(": ")[2] for fault in faults] == [call]
    assert security_rules.door_faults(tmp_path, {("module.py", call): "a reason"}) == []
    assert faults[0] in security_rules.door_faults(tmp_path, {("module.py", call): ""})


def test_what_looks_alike_is_fine(tmp_path: Path) -> None:
    text = """
import json, re, yaml
import numpy as np
model.eval()
re.compile("x")
json.load(file)
yaml.safe_load(text)
np.load(path, allow_pickle=False)
get(address, verify=True)
near(texts, verify=wanted)
loads(text)
store.open("x")
"""
    (tmp_path / "module.py").write_text(text)
    assert security_rules.door_faults(tmp_path) == []


def test_an_exception_that_is_needed_no_more_is_seen(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("")
    (fault,) = security_rules.door_faults(tmp_path, {("module.py", "os.system"): "a reason"})
    assert "no longer calls os.system" in fault


LISTEN = """
import sys

heard = []
sys.addaudithook(lambda event, arguments: heard.append(event) if event.startswith(("socket.", "urllib.", "http.", "ftplib.")) else None)
{action}
if heard:
    sys.exit("heard " + ", ".join(heard))
"""


def listen(action: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", LISTEN.format(action=action)], cwd=folder, capture_output=True, text=True, timeout=60)


def test_importing_ropewalk_opens_no_socket(tmp_path: Path) -> None:
    action = "import ropewalk, ropewalk.cli.main\nfrom ropewalk.pipeline.families import all_families\nall_families()"
    done = listen(action, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


def test_an_open_socket_is_heard(tmp_path: Path) -> None:
    done = listen("import socket\nsocket.socket().close()", tmp_path)
    assert done.returncode != 0 and "socket.__new__" in done.stderr


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.com", 80), ("::2", 80)])
def test_a_test_that_reaches_for_the_network_fails(address: tuple[str, int]) -> None:
    with pytest.raises(BaseException, match="a test reached for") as caught:
        socket.create_connection(address, timeout=0.01)
    assert not isinstance(caught.value, Exception)
