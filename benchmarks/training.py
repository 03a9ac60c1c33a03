"""Training on packed bfloat16 rows, against padded float32 batches with transformers' Trainer.

python benchmarks/training.py --model smollm2-135m --steps 12
"""

import tempfile
import time

import click
import numpy as np
import torch
from datasets import Dataset
from transformers import DataCollatorForLanguageModeling, Trainer, TrainingArguments

from elusive.augment.config import AugmentConfig
from elusive.augment.copies import build_training_texts
from elusive.augment.scores.arm_scores import Scorers, score_documents
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.lm.loading import choose_dtype, load_model
from elusive.common.lm.packing import Sequence, build_text_sequence
from elusive.evaluate.config import TrainingConfig
from elusive.evaluate.training.lora import open_lora_model
from elusive.evaluate.training.sequences import pack_epochs
from elusive.evaluate.training.train import train


def measure_padded_speed(loaded, sequences: list[Sequence], config: TrainingConfig) -> float:
    """Train as a user writes it first, on padded float32 batches; return tokens per second."""
    with open_lora_model(loaded, config, 0) as model, tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=scratch,
                per_device_train_batch_size=config.batch_size,
                num_train_epochs=1,
                learning_rate=config.learning_rate,
                use_cpu=not torch.cuda.is_available(),
                report_to="none",
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
            train_dataset=Dataset.from_list([{"input_ids": s.input_ids} for s in sequences]),
            data_collator=DataCollatorForLanguageModeling(loaded.tokenizer, mlm=False),
        )
        start = time.perf_counter()
        trainer.train()
        return sum(len(s.input_ids) for s in sequences) / (time.perf_counter() - start)


@click.command()
@click.option("--model", default="smollm2-135m")
@click.option("--steps", default=12)
@click.option("--rounds", default=3)
def main(model: str, steps: int, rounds: int) -> None:
    config = TrainingConfig(epochs=1)
    copies = AugmentConfig(method="random", copies=7)
    documents = list(generate_biographies(BiogenConfig(people=steps)))
    texts = build_training_texts(documents, score_documents(documents, Scorers(copies)), copies)
    packed_model = load_model(model)
    sequences = [build_text_sequence(text.text, packed_model.tokenizer) for text in texts]
    rows = list(
        pack_epochs(lambda epoch: sequences, [], 1, config.batch_size, np.random.default_rng(0))
    )
    padded_model = load_model(model, dtype=torch.float32)
    ratios = []
    for number in range(rounds):
        padded = measure_padded_speed(padded_model, sequences, config)
        with open_lora_model(packed_model, config, 0) as adapted:
            log = train(adapted, rows, config, 0)
        packed = log.tokens / log.seconds
        ratios.append(packed / padded)
        click.echo(
            f"round {number}: padded float32 {padded:.0f} tokens/s, packed {choose_dtype()} "
            f"{packed:.0f} tokens/s, {ratios[-1]:.2f}x"
        )
    click.echo(f"median {np.median(ratios):.2f}x")


if __name__ == "__main__":
    main()
