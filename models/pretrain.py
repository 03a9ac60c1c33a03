"""Pretraining of a family from scratch: resumable, logged, the same for the same seed."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from elusive.common.lm.packed_attention import build_border_columns, use_packed_attention
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
    """A Llama with random weights, embeddings and head tied."""
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
    """A model in training: what a checkpoint holds."""

    def __init__(self, model: LlamaForCausalLM, plan: PretrainPlan) -> None:
        self.model = model
        self.step = 0
        self.tokens = 0
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
        torch.save(self._state(), draft)
        draft.replace(path)

    def load(self, path: Path) -> None:
        """Go back to a checkpoint."""
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.tokens = state["step"], state["tokens"]

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "tokens": self.tokens,
        }


def rate_factor(progress: float, plan: PretrainPlan) -> float:
    """Learning rate as a share of its peak: rising, flat, falling to 0; progress in [0, 1].

    >>> plan = PretrainPlan(models=[ModelShape(name="a")], warmup=0.1, decay=0.5)
    >>> [rate_factor(progress, plan) for progress in (0.05, 0.3, 0.75, 1)]
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
    """Train one model; `out` holds its checkpoint and log, from which it goes on.

    Args:
        shape: size of the model.
        plan: the recipe.
        population: what it reads.
        tokenizer: of the family.
        out: folder of the checkpoint and the log.
        on_tokens: called with the number of tokens read since the last call.
        checkpoint_seconds: time between checkpoints.

    Raises:
        InputError: the loss is no finite number any more.
    """
    out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    training = Training(build_model(shape, tokenizer, plan.seed), plan)
    if (out / CHECKPOINT).exists():
        training.load(out / CHECKPOINT)
    _shorten_log(out, training.tokens)
    on_tokens(training.tokens)
    use_packed_attention(training.model)
    rows = Rows(population, tokenizer, plan)
    probe = sample_questions(population, plan)
    saved = logged = time.monotonic()
    losses, seen = [], training.tokens
    while training.tokens < plan.tokens:
        before = training.tokens
        losses.append(_take_step(training, rows, plan))
        on_tokens(training.tokens - before)
        part = plan.tokens / plan.evaluations
        if before // part < training.tokens // part or training.tokens >= plan.tokens:
            speed = (training.tokens - seen) / (time.monotonic() - logged)
            em = population_em(training.model, tokenizer, population, probe)
            _log(out, training, float(np.mean(losses)), speed, em)
            losses, seen, logged = [], training.tokens, time.monotonic()
        if time.monotonic() - saved > checkpoint_seconds or training.tokens >= plan.tokens:
            training.save(out / CHECKPOINT)
            saved = time.monotonic()
    return training.model


def _take_step(training: Training, rows: Rows, plan: PretrainPlan) -> float:
    """One optimizer step; the loss in nats per predicted token."""
    sequences = rows.row(training.step)
    row = pack_row(sequences)
    borders = build_border_columns([len(sequence.input_ids) for sequence in sequences])
    training.model.train()
    loss = training.model(**row, **borders, use_cache=False).loss
    if not math.isfinite(loss.item()):
        raise InputError(
            f"pretraining loss is {loss.item()} at step {training.step}: lower learning_rate"
        )
    loss.backward()
    torch.nn.utils.clip_grad_norm_(training.model.parameters(), 1.0)
    for group in training.optimizer.param_groups:
        group["lr"] = plan.learning_rate * rate_factor(training.tokens / plan.tokens, plan)
    training.optimizer.step()
    training.optimizer.zero_grad()
    training.step += 1
    training.tokens += row["input_ids"].numel()
    return loss.item()


def sample_questions(population: Population, plan: PretrainPlan) -> list[Question]:
    """The questions that are asked at each evaluation."""
    order = stream(plan.seed, "probe").permutation(len(population.questions))
    return [population.questions[index] for index in order[: plan.evaluation_questions]]


def population_em(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    population: Population,
    questions: list[Question],
) -> float:
    """Exact match, in [0, 1], on questions about the population after five solved ones."""
    before = model.config._attn_implementation or "sdpa"
    model.set_attn_implementation("sdpa")
    shots, _ = split_shots(population.shots, NUM_SHOTS, 0)
    answers = answer_questions(model, tokenizer, questions, shots, 50)
    model.set_attn_implementation(before)
    return float(np.mean([answer.em for answer in answers]))


def _shorten_log(out: Path, tokens: int) -> None:
    """Leave out what was logged after the checkpoint, as it will be logged again."""
    path = out / LOG
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        write_atomically(path, "".join(x for x in lines if json.loads(x)["tokens"] <= tokens))


def _log(out: Path, training: Training, loss: float, speed: float, em: float) -> None:
    """Append one line to the log."""
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
