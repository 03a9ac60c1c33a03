"""Pretrain models from scratch: resumable, logged, the same weights for the same seed."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    set_seed,
)

from elusive.common.dataset.records import Question
from elusive.common.errors import InputError
from elusive.common.folders import write_atomically
from elusive.common.lm.packed_attention import IMPLEMENTATION, build_border_columns
from elusive.common.lm.packing import pack_row
from elusive.common.memory import keep_freed_memory
from elusive.common.seeding import stream
from elusive.evaluate.answering.local import answer_questions
from elusive.evaluate.answering.prompts import split_shots
from elusive.models.config import ModelShape, PretrainPlan
from elusive.models.population import Population, Rows

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"
NUM_SHOTS = 5


def build_model(
    shape: ModelShape, tokenizer: PreTrainedTokenizerFast, seed: int
) -> LlamaForCausalLM:
    """Build a Llama with random weights, whose head shares the weights of its embeddings."""
    set_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.width,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,  # type: ignore[arg-type]
            eos_token_id=tokenizer.eos_token_id,  # type: ignore[arg-type]
            pad_token_id=tokenizer.pad_token_id,  # type: ignore[arg-type]
        )
    )


class Training:
    """A model in training: all that a checkpoint holds."""

    def __init__(self, model: LlamaForCausalLM, plan: PretrainPlan) -> None:
        self.model = model
        self.step = 0
        self.tokens = 0
        self.losses: list[float] = []
        """Of the steps since the last logged one."""
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=plan.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=plan.weight_decay,
            fused=True,
        )

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically."""
        draft = path.with_name(f".{path.name}")
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "tokens": self.tokens,
            "losses": self.losses,
        }
        torch.save(state, draft)
        draft.replace(path)

    def load(self, path: Path) -> None:
        """Restore a checkpoint."""
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.tokens = state["step"], state["tokens"]
        self.losses = state.get("losses", [])  # checkpoints before 0.2 have none


def compute_rate_factor(progress: float, plan: PretrainPlan) -> float:
    """Compute the learning rate as a share of its peak: it rises, stays, then falls to 0.

    Args:
        progress: share of the tokens that have been read, in [0, 1].
        plan: its warmup and decay.

    >>> plan = PretrainPlan(models=[ModelShape(name="a")], warmup=0.1, decay=0.5)
    >>> [compute_rate_factor(progress, plan) for progress in (0.05, 0.3, 0.75, 1)]
    [0.5, 1.0, 0.5, 0.0]
    """
    rising = progress / plan.warmup if plan.warmup else 1.0
    falling = (1 - progress) / plan.decay if plan.decay else 1.0
    return max(0.0, min(rising, 1.0, falling))


def pretrain_model(
    shape: ModelShape,
    plan: PretrainPlan,
    population: Population,
    tokenizer: PreTrainedTokenizerFast,
    out: Path,
    on_tokens: Callable[[int], object] = lambda count: None,
    checkpoint_seconds: float = 120,
) -> LlamaForCausalLM:
    """Train one model; resume from the checkpoint and log in `out` if there are any.

    Args:
        shape: size of the model.
        plan: the recipe.
        population: what it reads.
        tokenizer: of the family.
        out: folder of the checkpoint and the log.
        on_tokens: called with the number of tokens read since the last call.
        checkpoint_seconds: time between checkpoints.

    Raises:
        InputError: the loss is no longer a finite number.
    """
    # 1) Start, or resume from the checkpoint and forget what was logged after it.
    out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    training = Training(build_model(shape, tokenizer, plan.seed), plan)
    if (out / CHECKPOINT).exists():
        training.load(out / CHECKPOINT)
    _shorten_log(out, training.tokens)
    on_tokens(training.tokens)
    training.model.set_attn_implementation(IMPLEMENTATION)
    rows = Rows(population, tokenizer, plan)
    questions = sample_questions(population, plan)
    evaluation_tokens = plan.tokens / plan.evaluations
    saved_at = logged_at = time.monotonic()
    logged_tokens = training.tokens
    while training.tokens < plan.tokens:
        # 2) Take a step.
        before = training.tokens
        training.losses.append(_take_step(training, rows, plan))
        on_tokens(training.tokens - before)
        is_last = training.tokens >= plan.tokens
        # 3) Evaluate and log whenever a part of the tokens has been read.
        if is_last or before // evaluation_tokens < training.tokens // evaluation_tokens:
            speed = (training.tokens - logged_tokens) / (time.monotonic() - logged_at)
            em = measure_population_em(training.model, tokenizer, population, questions)
            _log(out, training, float(np.mean(training.losses)), speed, em)
            training.losses, logged_tokens, logged_at = [], training.tokens, time.monotonic()
        # 4) Save a checkpoint now and then, and at the end.
        if is_last or time.monotonic() - saved_at > checkpoint_seconds:
            training.save(out / CHECKPOINT)
            saved_at = time.monotonic()
    return training.model


def _take_step(training: Training, rows: Rows, plan: PretrainPlan) -> float:
    """Take one optimizer step; return the loss in nats per predicted token."""
    sequences = rows.build_row(training.step)
    row = pack_row(sequences)
    borders = build_border_columns([len(sequence.input_ids) for sequence in sequences])
    training.model.train()
    loss = training.model(**row, **borders, use_cache=False).loss
    if not math.isfinite(loss.item()):
        raise InputError(
            f"the pretraining loss is {loss.item()} at step {training.step}: lower learning_rate"
        )
    loss.backward()
    torch.nn.utils.clip_grad_norm_(training.model.parameters(), 1.0)
    for group in training.optimizer.param_groups:
        group["lr"] = plan.learning_rate * compute_rate_factor(training.tokens / plan.tokens, plan)
    training.optimizer.step()
    training.optimizer.zero_grad()
    training.step += 1
    training.tokens += row["input_ids"].numel()
    return loss.item()


def sample_questions(population: Population, plan: PretrainPlan) -> list[Question]:
    """Sample the questions that every evaluation asks."""
    order = stream(plan.seed, "probe").permutation(len(population.questions))
    return [population.questions[index] for index in order[: plan.evaluation_questions]]


def measure_population_em(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    population: Population,
    questions: list[Question],
) -> float:
    """Measure exact match, in [0, 1], on questions about the population after five solved ones."""
    before = model.config._attn_implementation or "sdpa"
    model.set_attn_implementation("sdpa")
    shots, _ = split_shots(population.shots, NUM_SHOTS, 0)
    answers = answer_questions(model, tokenizer, questions, shots, 50)
    model.set_attn_implementation(before)
    return float(np.mean([answer.em for answer in answers]))


def _shorten_log(out: Path, tokens: int) -> None:
    """Remove what was logged after the checkpoint, as it will be logged again."""
    path = out / LOG
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if json.loads(line)["tokens"] <= tokens]
        write_atomically(path, "".join(kept))


def _log(out: Path, training: Training, loss: float, speed: float, em: float) -> None:
    entry = {
        "step": training.step,
        "tokens": training.tokens,
        "loss": round(loss, 4),
        "tokens_per_second": round(speed),
        "population_em": round(em, 4),
    }
    path = out / LOG
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    write_atomically(path, text + json.dumps(entry) + "\n")
