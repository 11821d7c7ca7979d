"""Text for the benchmark: the documentation that Debian packages, cut into documents of 0.2 to 20 KB.

`python -m benchmarks.data.corpus --folder build/bench` fetches the packages with apt (nothing is installed), writes `base.jsonl`,
and from it `c40/` and `c150/` with planted duplicates and every pair of similar documents (`truth.npz`). The text depends on the
packages' releases, so numbers compare within one corpus only; `manifest.json` holds its hash.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import html
import json
import math
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.data.plant import plant
from benchmarks.data.truth import write_truth

PACKAGES = (
    "apache2-doc",
    "debian-faq",
    "debian-handbook",
    "developers-reference",
    "erlang-doc",
    "fortunes",
    "git-doc",
    "glibc-doc",
    "manpages",
    "manpages-dev",
    "nodejs-doc",
    "octave-doc",
    "perl-doc",
    "postgresql-doc-15",
    "python-django-doc",
    "python3.11-doc",
    "rust-doc",
    "sqlite3-doc",
    "tcl8.6-doc",
    "vim-doc",
    "libstdc++-12-doc",
    "linux-doc-6.1",
)
SIZES_MB = {"c40": 40, "c150": 150}
MOST_PER_PACKAGE = 22_000_000
LEAST_CHARACTERS, MOST_CHARACTERS = 200, 20_000

NOT_TEXT = re.compile(r"genindex|py-modindex|search(index)?\.|/_static/|/static\.files/|implementors/|core_arch|/std_detect/|/locale/")
OTHER_LANGUAGE = re.compile(
    r"[/.](ar|bg|cs|da|de|el|es|fa|fi|fr|hr|hu|id|it|ja|ko|nb|nl|pl|pt|ro|ru|sv|tr|uk|vi|zh)([-_][A-Za-z]{2})?(\.utf8|\.euc-kr)?(/|$|\.html)"
)
BLOCKS = re.compile(r"</?(p|div|br|li|[uod]l|d[td]|t[rd]|table|h[1-6]|pre|section|article|blockquote|hr)\b[^>]*>", re.IGNORECASE)
UNREAD = re.compile(r"<(script|style|head|nav|svg|select|footer)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
TAGS = re.compile(r"<[^>]{0,2000}>")
ROFF_FONTS = re.compile(r"\\f(\([A-Z]{2}|\[[A-Z]*\]|[A-Z])|\\&|\\\((..)|\\\[\w+\]")
ROFF_WORDS = {".B", ".I", ".BR", ".IR", ".BI", ".RB", ".RI", ".Nm"}


def fetch(folder: Path) -> None:
    """Download and unpack each package that is not there yet; raises CalledProcessError when apt knows none."""
    archives, trees = (folder / "debs").absolute(), (folder / "trees").absolute()
    archives.mkdir(parents=True, exist_ok=True)
    trees.mkdir(exist_ok=True)
    for package in PACKAGES:
        if (trees / package).is_dir():
            continue
        subprocess.run(["apt-get", "download", "-qq", package], cwd=archives, check=True, capture_output=True)
        archive = next(archives.glob(f"{package}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", str(archive), str(trees / package)], check=True)


def text_of(path: Path) -> str:
    """A documentation file as plain text; empty when it is none."""
    name = path.name.removesuffix(".gz")
    is_html, is_manual = re.search(r"\.x?html?(\.en)?$", name), re.search(r"\.[1-9][a-z]*$", name) and "/man/" in str(path)
    is_plain = re.search(r"\.(txt|rst|md|pod)$", name) or ("/games/fortunes/" in str(path) and "." not in name)
    if not (is_html or is_manual or is_plain):
        return ""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError):
        return ""
    text = data.decode("utf-8", "replace")
    return _from_html(text) if is_html else _from_roff(text) if is_manual else text


def _from_html(text: str) -> str:
    body = TAGS.sub("", BLOCKS.sub("\n\n", UNREAD.sub(" ", text[max(text.find("<body"), 0) :])))
    lines = (re.sub(r"[ \t]+", " ", line).rstrip() for line in html.unescape(body).replace("\xa0", " ").replace("¶", "").splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _from_roff(text: str) -> str:
    lines = []
    for line in text.splitlines():
        macro, _, rest = line.partition(" ")
        if macro in (".SH", ".SS"):
            lines += ["", rest.strip(' "'), ""]
        elif macro in ROFF_WORDS:
            lines.append(rest.replace('"', ""))
        elif macro in (".P", ".PP", ".TP", ".IP", ".LP"):
            lines.append("")
        elif not line.startswith((".", "'\\\"")):
            lines.append(line)
    return ROFF_FONTS.sub("", "\n".join(lines).replace("\\-", "-").replace("\\e", "\\"))


def cut(text: str, draw: random.Random) -> Iterator[str]:
    """Pieces that end at paragraphs; how long they want to be is log-normal with a median of 2.2 KB."""

    def wanted() -> float:
        return min(MOST_CHARACTERS, max(400, draw.lognormvariate(math.log(2200), 0.9)))

    held: list[str] = []
    size, target = 0, wanted()
    for whole in re.split(r"\n\s*\n", text):
        for start in range(0, len(whole), MOST_CHARACTERS - 2000):
            paragraph = whole[start : start + MOST_CHARACTERS - 2000].strip("\n")
            if not paragraph.strip():
                continue
            if held and (size >= target or size + len(paragraph) > MOST_CHARACTERS):
                yield "\n\n".join(held)
                held, size, target = [], 0, wanted()
            held.append(paragraph)
            size += len(paragraph) + 2
    if held:
        yield "\n\n".join(held)


def extract(folder: Path) -> None:
    """Write `base.jsonl`: documents in no order that matters, none of them twice."""
    draw = random.Random(20)
    seen: set[bytes] = set()
    with (folder / "base.jsonl.new").open("w", encoding="utf-8") as file:
        for package in sorted(PACKAGES):
            paths = [path for path in sorted((folder / "trees" / package).rglob("*")) if path.is_file() and not path.is_symlink()]
            paths = [path for path in paths if not NOT_TEXT.search(str(path)) and not OTHER_LANGUAGE.search(str(path))]
            draw.shuffle(paths)
            used = 0
            for path in paths:
                for piece in cut(text_of(path), draw) if used < MOST_PER_PACKAGE else ():
                    key = hashlib.md5(" ".join(piece.split()).encode(), usedforsecurity=False).digest()
                    if LEAST_CHARACTERS <= len(piece) <= MOST_CHARACTERS and key not in seen:
                        seen.add(key)
                        used += len(piece.encode())
                        file.write(json.dumps({"text": piece, "source": package}, ensure_ascii=False) + "\n")
    (folder / "base.jsonl.new").rename(folder / "base.jsonl")


def build(folder: Path, sizes_mb: dict[str, int]) -> None:
    """Make what is missing of the named corpora."""
    missing = {name: size for name, size in sizes_mb.items() if not (folder / name / "truth.npz").is_file()}
    if missing and not (folder / "base.jsonl").is_file():
        fetch(folder)
        extract(folder)
    for name, size in missing.items():
        (folder / name).mkdir(exist_ok=True)
        plant(folder / "base.jsonl", folder / name, size * 1_000_000)
        write_truth(folder / name / "corpus.jsonl", folder / name / "truth.npz")


def main() -> None:
    """Build both corpora."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    build(parser.parse_args().folder, SIZES_MB)


if __name__ == "__main__":
    main()
