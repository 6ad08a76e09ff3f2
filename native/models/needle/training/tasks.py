#!/usr/bin/env python3
"""Questions about long documents: the one generator behind the training and the evaluation of the needle model.

A document is filler text with needle sentences strewn through it; a question asks for one or several of them, after RULER
(Hsieh et al., 2024). needles.py has their wording.

    python3 tasks.py --kind niah --tokens 4096 --count 40 --seed 7

prints JSON lines {kind, document, question, answer}.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from needles import KINDS, Names, Needles, fill_up, interleave, plant

HERE = Path(__file__).resolve().parent
WORDS = HERE / "words.txt"
FILLER = HERE.parents[2] / "bench" / "filler.txt.gz"

MIN_TOKENS = 512
TEMPLATE_TOKENS = 16  # of the chat template, with the empty line between document and question
CHARS_PER_TOKEN = 3.0  # in needle sentences, digits aside


@dataclass(frozen=True)
class Document:
    kind: str
    document: str
    question: str
    answer: str


@dataclass(frozen=True)
class Paragraph:
    text: str
    num_tokens: int  # the space before it included


def read_filler(path: Path) -> list[Paragraph]:
    """Reads what `build_corpus.py --count-tokens` wrote."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return [Paragraph(text, int(count)) for count, _, text in (line.partition("\t") for line in lines)]


def read_words(path: Path = WORDS) -> tuple[str, ...]:
    return tuple(path.read_text().split())


def draw_filler(filler: list[Paragraph], rng: Random, num_tokens: int) -> list[str]:
    """Different paragraphs of about `num_tokens` tokens in all; the last is cut off at a word to fit."""
    drawn: list[str] = []
    for paragraph in rng.sample(filler, len(filler)):
        if paragraph.num_tokens >= num_tokens:
            share = max(0, num_tokens) / paragraph.num_tokens
            cut_off = paragraph.text[: round(share * len(paragraph.text))].rpartition(" ")[0]
            return drawn + [cut_off] if cut_off else drawn
        drawn.append(paragraph.text)
        num_tokens -= paragraph.num_tokens
    raise ValueError("the filler has less text than the document needs")


def estimate_tokens(sentence: str) -> float:
    """Tokens of a needle sentence or question: digits are one each, letters come in pieces. Within 2 % over a document."""
    digits = sum(character.isdigit() for character in sentence)
    return digits + (len(sentence) - digits) / CHARS_PER_TOKEN


def make_document(rng: Random, words: tuple[str, ...], filler: list[Paragraph], kind: str, tokens: int) -> Document:
    """A fresh document that fills a prompt of about `tokens` tokens and holds 8 to 40 needle sentences, fewer if short."""
    names = Names(rng, words)
    needles = Needles()
    asked = plant(needles, names, kind)
    fill_up(needles, names, min(rng.randint(8, 40), tokens // 64))
    sentences = interleave(needles.groups, rng)
    needle_tokens = sum(map(estimate_tokens, [*sentences, asked.text]))
    parts = draw_filler(filler, rng, round(tokens - TEMPLATE_TOKENS - needle_tokens))
    # Each needle goes before some paragraph, so the one that was cut off stays last.
    places = sorted(rng.randrange(len(parts)) for _ in sentences)
    for place, sentence in reversed(list(zip(places, sentences))):
        parts.insert(place, sentence)
    return Document(kind, "".join(f" {part}" for part in parts), asked.text, asked.answer)


def documents(kind: str, tokens: int, count: int, seed: int, filler: Path = FILLER) -> Iterator[Document]:
    words, paragraphs = read_words(), read_filler(filler)
    for index in range(count):
        yield make_document(Random(f"{seed} {kind} {tokens} {index}"), words, paragraphs, kind, tokens)


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--tokens", type=positive, required=True, help="length of the whole prompt; at least 512")
    parser.add_argument("--count", type=positive, default=1)
    parser.add_argument("--seed", type=int, required=True)
    args = parser.parse_args()
    if args.tokens < MIN_TOKENS:
        parser.error(f"--tokens {args.tokens} leaves no room for filler; at least {MIN_TOKENS}")
    for document in documents(args.kind, args.tokens, args.count, args.seed):
        print(json.dumps(asdict(document)))


if __name__ == "__main__":
    main()
