#!/usr/bin/env python3
"""Trains the needle model, or goes on from a checkpoint. README.md beside this file says how to run it."""

from __future__ import annotations

import argparse
import math
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from model import Config, Model, load, rope_table, save
from sequences import ANSWER_WEIGHT, BOS, END_OF_TURN, EOS, Corpus, SequenceBuilder

WARMUP_STEPS = 100
GRADIENT_NORM = 1.0
TOKENIZER = Path(__file__).resolve().parent.parent / "tokenizer.json"


class Batches(IterableDataset):
    """Endless batches of one sequence length. Every worker draws its own."""

    def __init__(self, builder: SequenceBuilder, size: int, length: int, seed: int) -> None:
        self.builder, self.size, self.length, self.seed = builder, size, length, seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        worker = torch.utils.data.get_worker_info()
        rng = random.Random(f"{self.seed} {self.length} {worker.id if worker else 0}")
        while True:
            tokens, weights = self.builder.batch(rng, self.size, self.length)
            yield torch.from_numpy(tokens), torch.from_numpy(weights)


def losses(model: Model, tokens: Tensor, weights: Tensor, table: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The weighted loss, and that of the answers alone. tokens, weights: (B, S + 1)."""
    with torch.autocast(tokens.device.type, torch.bfloat16):
        logits = model(tokens[:, :-1], table)
    each = F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    weights = weights[:, 1:].flatten()
    is_answer = (weights == ANSWER_WEIGHT).float()
    return (each * weights).sum() / weights.sum(), (each * is_answer).sum() / is_answer.sum().clamp(min=1)


def make_optimizer(model: Model, learning_rate: float) -> torch.optim.Optimizer:
    matrices = [weight for weight in model.parameters() if weight.dim() == 2]
    norms = [weight for weight in model.parameters() if weight.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": norms, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95))


def learning_rate_factor(step: int, num_steps: int) -> float:
    """Linear warm-up, then a cosine down to zero."""
    return min(1.0, (step + 1) / WARMUP_STEPS) * 0.5 * (1 + math.cos(math.pi * step / num_steps))


def train(model: Model, builder: SequenceBuilder, args: argparse.Namespace) -> None:
    device = torch.device(args.device)
    model.to(device).train()
    optimizer = make_optimizer(model, args.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, args.steps))
    loss_of = torch.compile(losses, dynamic=False) if device.type == "cuda" else losses
    tables = {length: rope_table(model.config, length, device) for length in args.plan}
    batches = {
        length: iter(
            DataLoader(
                Batches(builder, max(1, args.tokens_per_step // length), length, args.seed),
                batch_size=None,
                num_workers=max(1, round(args.workers * share)) if args.workers else 0,
                pin_memory=device.type == "cuda",
            )
        )
        for length, share in args.plan.items()
    }
    rng = random.Random(args.seed)
    started = time.monotonic()
    for step in range(args.steps):
        length = rng.choices(list(args.plan), list(args.plan.values()))[0]
        tokens, weights = (each.to(device, non_blocking=True) for each in next(batches[length]))
        loss, answer_loss = loss_of(model, tokens, weights, tables[length])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if step % args.log_every == 0 or step == args.steps - 1:
            print(
                f"step {step}  {time.monotonic() - started:.0f} s  length {length}  "
                f"loss {loss.item():.4f}  answers {answer_loss.item():.4f}",
                flush=True,
            )


def parse_plan(text: str) -> dict[int, float]:
    """'1024:0.2,4096:0.8': share of the steps for each sequence length."""
    pairs = (part.split(":") for part in text.split(","))
    return {int(length): float(share) for length, share in pairs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="as build_corpus.py writes it, without token counts")
    parser.add_argument("--out", type=Path, required=True, help="directory for the checkpoint")
    parser.add_argument("--init", type=Path, help="checkpoint directory to go on from")
    parser.add_argument("--plan", type=parse_plan, default="512:0.22,2048:0.28,8192:0.35,16384:0.15")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--tokens-per-step", type=int, default=131_072)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--workers", type=int, default=14, help="processes that make sequences, over all lengths")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log-every", type=int, default=100)
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    model = load(args.init) if args.init else Model(Config(vocab_size=tokenizer.get_vocab_size()))
    print(f"{sum(weight.numel() for weight in model.parameters()) / 1e6:.1f} M parameters")
    train(model, SequenceBuilder(tokenizer, Corpus.read(args.corpus, tokenizer)), args)

    args.out.mkdir(parents=True, exist_ok=True)
    save(model, args.out, tokenizer.token_to_id(BOS), [tokenizer.token_to_id(END_OF_TURN), tokenizer.token_to_id(EOS)])
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(TOKENIZER.with_name(name), args.out / name)


if __name__ == "__main__":
    main()
