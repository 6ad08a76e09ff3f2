"""Training sequences: a conversation about a long document, as token ids with a loss weight for each."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
from tokenizers import Tokenizer

from needles import Names, Needles, Question, draw_turns, fill_up, interleave
from tasks import read_words

BOS, EOS, START_HEADER, END_HEADER, END_OF_TURN, PAD = SPECIAL_TOKENS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|pad|>",
)

# Answers are what is learned. Filler counts a little, so that the model learns to read; of needles and questions only the
# form can be predicted, and names and numbers are noise.
ANSWER_WEIGHT, FILLER_WEIGHT, NEEDLE_WEIGHT, TEMPLATE_WEIGHT = 1.0, 0.1, 0.02, 0.0


@dataclass(frozen=True)
class Corpus:
    """Filler paragraphs one after the other, each with a space before it."""

    tokens: np.ndarray  # (num_tokens,)
    starts: np.ndarray  # (num_paragraphs,): index of the first token of each

    @staticmethod
    def read(path: Path, tokenizer: Tokenizer) -> Corpus:
        paragraphs = gzip.decompress(path.read_bytes()).decode().splitlines()
        encoded = tokenizer.encode_batch([f" {paragraph}" for paragraph in paragraphs], add_special_tokens=False)
        lengths = [len(encoding.ids) for encoding in encoded]
        tokens = np.concatenate([np.array(encoding.ids, dtype=np.int64) for encoding in encoded])
        return Corpus(tokens, np.cumsum([0, *lengths[:-1]]))

    def draw(self, rng: Random, num_tokens: int, num_parts: int) -> list[list[int]]:
        """A random window of `num_tokens`, cut between paragraphs into `num_parts`, some of them empty."""
        if num_tokens > len(self.tokens) // 2:
            raise ValueError(f"the corpus has {len(self.tokens)} tokens, too few to draw windows of {num_tokens}")
        last = np.searchsorted(self.starts, len(self.tokens) - num_tokens, side="right")
        first = rng.randrange(last)
        begin = self.starts[first]
        end = begin + num_tokens
        inside = self.starts[first : np.searchsorted(self.starts, end)]
        cuts = sorted(rng.choices(inside.tolist(), k=num_parts - 1)) if len(inside) else [begin] * (num_parts - 1)
        edges = [begin, *cuts, end]
        return [self.tokens[a:b].tolist() for a, b in zip(edges, edges[1:])]


@dataclass
class Sequence:
    tokens: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def add(self, tokens: list[int], weight: float) -> None:
        self.tokens += tokens
        self.weights += [weight] * len(tokens)


class SequenceBuilder:
    def __init__(self, tokenizer: Tokenizer, corpus: Corpus) -> None:
        self.tokenizer = tokenizer
        self.corpus = corpus
        self.words = read_words()
        self.pad_id = tokenizer.token_to_id(PAD)
        self.user_header = self.encode(f"{START_HEADER}user{END_HEADER}\n\n")
        self.assistant_header = self.encode(f"{END_OF_TURN}{START_HEADER}assistant{END_HEADER}\n\n")

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def build(self, rng: Random, length: int) -> Sequence:
        """One document with 2 to 48 needle sentences and 4 to 16 questions about it, fewer in short sequences.

        About `length` tokens: a little less, or more where the needles alone are longer.
        """
        names = Names(rng, self.words)
        needles = Needles()
        fill_up(needles, names, max(1, min(rng.randint(2, 48), length // 64)))
        turns = draw_turns(needles, names, max(1, min(rng.randint(4, 16), length // 128)))
        sentences = [self.encode(f" {sentence}") for sentence in interleave(needles.groups, rng)]
        conversation = self.conversation(turns)

        spent = 1 + len(self.user_header) + sum(map(len, sentences)) + len(conversation.tokens)
        fillers = self.corpus.draw(rng, max(0, length - spent), len(sentences) + 1)
        sequence = Sequence()
        sequence.add([self.tokenizer.token_to_id(BOS), *self.user_header], TEMPLATE_WEIGHT)
        for filler, sentence in zip(fillers, sentences):
            sequence.add(filler, FILLER_WEIGHT)
            sequence.add(sentence, NEEDLE_WEIGHT)
        sequence.add(fillers[-1], FILLER_WEIGHT)
        sequence.tokens += conversation.tokens
        sequence.weights += conversation.weights
        return sequence

    def conversation(self, turns: list[Question]) -> Sequence:
        """What follows the document: its first question, the answer, and further turns."""
        sequence = Sequence()
        for number, turn in enumerate(turns):
            sequence.add(self.encode("\n\n") if number == 0 else self.user_header, TEMPLATE_WEIGHT)
            sequence.add(self.encode(turn.text), NEEDLE_WEIGHT)
            sequence.add(self.assistant_header, TEMPLATE_WEIGHT)
            sequence.add(self.encode(turn.answer + END_OF_TURN), ANSWER_WEIGHT)
        return sequence

    def batch(self, rng: Random, size: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Token ids and loss weights, (size, length + 1) each: inputs are all but the last, targets all but the first."""
        tokens = np.full((size, length + 1), self.pad_id, dtype=np.int64)
        weights = np.zeros((size, length + 1), dtype=np.float32)
        for row in range(size):
            sequence = self.build(rng, length + 1)
            used = min(len(sequence.tokens), length + 1)
            tokens[row, :used] = sequence.tokens[:used]
            weights[row, :used] = sequence.weights[:used]
        return tokens, weights
