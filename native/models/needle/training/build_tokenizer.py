#!/usr/bin/env python3
"""Trains a byte-level BPE tokenizer on a corpus: build_tokenizer.py corpus.txt.gz tokenizer.json [vocabulary size]

Weights belong to the tokenizer that they were trained with; a new one needs a model trained from the start.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from sequences import SPECIAL_TOKENS

# Llama 3's rule, but digits stand alone (there up to three go together): a number to be copied has one right spelling.
PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"  # English endings
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"  # a word, with what is right before it
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"  # punctuation
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def build(paragraphs: list[str], vocab_size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(paragraphs, trainer)
    return tokenizer


def main() -> None:
    corpus, out, *vocab_size = sys.argv[1:]
    paragraphs = gzip.decompress(Path(corpus).read_bytes()).decode().splitlines()
    build(paragraphs, int(vocab_size[0]) if vocab_size else 4096).save(out)


if __name__ == "__main__":
    main()
