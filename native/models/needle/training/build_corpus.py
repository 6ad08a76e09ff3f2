#!/usr/bin/env python3
"""Builds filler text, one paragraph of plain prose a line, out of documentation packages of Debian.

    python3 build_corpus.py --out corpus.txt.gz                                # for training, about 20 MB of text
    python3 build_corpus.py --packages sqlite3-doc --chars 1300000 --count-tokens --out ../../../bench/filler.txt.gz

With --count-tokens every line starts with the number of tokens that the paragraph and the space before it make, and a tab;
this needs the `tokenizers` package. Needs apt-get and dpkg; installs nothing. The same packages give the same file.
"""

from __future__ import annotations

import argparse
import gzip
import random
import re
import subprocess
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

TRAINING_PACKAGES = (
    "postgresql-doc-15",
    "python3.11-doc",
    "git-doc",
    "perl-doc",
    "debian-reference-en",
    "debian-policy",
    "developers-reference",
)
MIN_CHARS, MAX_CHARS = 80, 1200
TOKENIZER = Path(__file__).resolve().parent.parent / "tokenizer.json"
BLOCKS = frozenset("p dd li td blockquote".split())
# Inside these the text is code, a menu or a heading, not prose.
SKIPPED = frozenset("script style pre nav table footer header h1 h2 h3 h4 h5 h6 title button".split())


class ParagraphParser(HTMLParser):
    """Collects the text of block elements, each without that of the blocks inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.paragraphs: list[str] = []
        self._text: list[str] = []
        self._skipping: list[str] = []

    def flush(self) -> None:
        self.paragraphs.append("".join(self._text))
        self._text = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in SKIPPED:
            self._skipping.append(tag)
        if tag in SKIPPED or tag in BLOCKS or tag == "div":
            self.flush()

    def handle_endtag(self, tag: str) -> None:
        if tag in self._skipping:
            del self._skipping[self._skipping.index(tag) :]
            self._text = []
        elif tag in BLOCKS or tag == "div":
            self.flush()

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self._text.append(data)


def html_paragraphs(source: str) -> list[str]:
    parser = ParagraphParser()
    parser.feed(source)
    parser.flush()
    return parser.paragraphs


def pod_paragraphs(source: str) -> list[str]:
    """Perl's own markup: paragraphs parted by empty lines; directives start with "=", code is indented."""
    paragraphs = [p for p in re.split(r"\n\s*\n", source) if p[:1].isalpha()]
    return [re.sub(r"[A-Z]<([^<>]*)>", r"\1", p) for p in paragraphs]


def prose(paragraph: str) -> str | None:
    """The paragraph on one line if it reads like English sentences, else None."""
    text = " ".join(paragraph.split())
    if not MIN_CHARS <= len(text) <= MAX_CHARS or not text.isascii():
        return None
    if not re.match(r"[A-Z][a-z]* ", text) or not text.endswith("."):
        return None
    plain = sum(c.isalpha() or c in " ,." for c in text)
    return text if plain >= 0.94 * len(text) else None


def package_files(package: str, folder: Path) -> list[Path]:
    """Downloads and unpacks one package; its documentation files in a fixed order."""
    subprocess.run(["apt-get", "download", "-qq", package], cwd=folder, check=True)
    archive = next(folder.glob("*.deb"))
    subprocess.run(["dpkg", "-x", archive, folder / "root"], check=True)
    files = (folder / "root").rglob("*")
    return sorted(f for f in files if f.is_file() and not f.is_symlink() and f.suffix in (".html", ".pod"))


def package_paragraphs(package: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as temporary:
        for file in package_files(package, Path(temporary)):
            source = file.read_text(encoding="utf-8", errors="replace")
            found = html_paragraphs(source) if file.suffix == ".html" else pod_paragraphs(source)
            yield from filter(None, map(prose, found))


def build(packages: list[str], max_chars: int | None) -> list[str]:
    paragraphs: dict[str, None] = {}  # a set that keeps its order
    for package in packages:
        before = len(paragraphs)
        paragraphs.update(dict.fromkeys(package_paragraphs(package)))
        print(f"{package}: {len(paragraphs) - before} paragraphs")
    shuffled = list(paragraphs)
    random.Random(0).shuffle(shuffled)
    if max_chars is None:
        return shuffled
    total, kept = 0, []
    for paragraph in shuffled:
        total += len(paragraph) + 1
        if total > max_chars:
            break
        kept.append(paragraph)
    return kept


def count_tokens(paragraphs: list[str]) -> list[int]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    encoded = tokenizer.encode_batch([f" {paragraph}" for paragraph in paragraphs], add_special_tokens=False)
    return [len(encoding.ids) for encoding in encoded]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", nargs="+", default=TRAINING_PACKAGES, metavar="NAME")
    parser.add_argument("--chars", type=int, help="keep a random part of this many characters")
    parser.add_argument("--count-tokens", action="store_true", help="start each line with its tokens and a tab")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    paragraphs = build(args.packages, args.chars)
    if args.count_tokens:
        paragraphs = [f"{count}\t{text}" for count, text in zip(count_tokens(paragraphs), paragraphs)]
    text = "".join(f"{line}\n" for line in paragraphs)
    args.out.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{args.out}: {len(text)} characters, {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
