"""Answering with one prefix per topic, against full prompts and lm-evaluation-harness.

python benchmarks/answering.py --people 100 --rounds 3
python benchmarks/answering.py --people 100 --rounds 3 --start 8000

The second command asks about people whom the model has not read about: its answers are then wrong,
and gold answers save it no decoding.

All ways answer the same questions in batches of one size, in an order that is reversed from round
to round. Ours also computes the log-probability of every gold answer, which plain `generate` and
the harness do not. The harness's time is that of its evaluation, without loading. Times are
processor seconds, because a busy machine lengthens wall-clock time: set OMP_NUM_THREADS=1.
"""

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from elusive.biogen.generate import generate_dataset
from elusive.common.answers import compute_exact_match
from elusive.common.dataset.folder import DatasetFolder, load_dataset_folder
from elusive.common.dataset.records import Question
from elusive.common.lm.encoding import get_end_tokens, list_newline_tokens
from elusive.common.lm.loading import LoadedModel, load_model
from elusive.common.lm.references import BUILT_IN, BUILT_IN_NAMES, find_model
from elusive.evaluate.answering.batches import SHARED_PREFIX, WHOLE_PROMPTS, Batching
from elusive.evaluate.answering.local import answer_questions
from elusive.evaluate.answering.prompts import (
    get_topic,
    render_few_shot_prefix,
    render_question,
    split_shots,
)
from elusive.evaluate.cells.cell import select_questions
from elusive.evaluate.config import AnsweringConfig
from elusive.models.config import load_pretrain_plan
from elusive.report.export.harness_task import export_harness_tasks

Answers = dict[str, str]


def answer_plainly(
    loaded: LoadedModel, dataset: DatasetFolder, questions: list[Question], batch: int
) -> Answers:
    """Answer in the way that a user writes first: padded full prompts into `generate`."""
    import torch

    shots, _ = split_shots(dataset.shots, 5, 0)
    tokenizer = loaded.tokenizer
    tokenizer.padding_side = "left"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    answers: Answers = {}
    by_topic = sorted(questions, key=get_topic)
    for start in range(0, len(by_topic), batch):
        part = by_topic[start : start + batch]
        prompts = [
            render_few_shot_prefix(shots, get_topic(q)) + render_question(q.question) for q in part
        ]
        inputs = tokenizer(prompts, return_tensors="pt", padding=True).to(loaded.model.device)
        golds = [tokenizer(f" {a}\n", add_special_tokens=False) for q in part for a in q.answers]
        with torch.inference_mode():
            ids = loaded.model.generate(  # type: ignore[operator]
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=max(len(gold["input_ids"]) for gold in golds) + 2,
                do_sample=False,
                eos_token_id=[*list_newline_tokens(tokenizer), *get_end_tokens(tokenizer)],
                pad_token_id=tokenizer.pad_token_id,
            )
        new = ids[:, inputs["input_ids"].shape[1] :]
        texts = tokenizer.batch_decode(new, skip_special_tokens=True)
        answers |= {
            q.question_id: text.split("\n", 1)[0].strip()
            for q, text in zip(part, texts, strict=True)
        }
    return answers


def build_harness_runner(
    loaded: LoadedModel, folder: Path, batch: int
) -> Callable[[], Answers] | None:
    """Return a call of the harness's `hf` backend on the exported tasks; None if not installed."""
    if importlib.util.find_spec("lm_eval") is None:
        return None
    evaluator: Any = importlib.import_module("lm_eval.evaluator")
    models: Any = importlib.import_module("lm_eval.models.huggingface")
    managers: Any = importlib.import_module("lm_eval.tasks")
    (group,) = (path.stem for path in folder.glob("*.yaml") if "group:" in path.read_text())
    tasks = managers.TaskManager(include_path=str(folder), include_defaults=False).load([group])
    model = models.HFLM(loaded.model, tokenizer=loaded.tokenizer, batch_size=batch, device="cpu")

    def run() -> Answers:
        results = evaluator.evaluate(model, tasks, bootstrap_iters=0, log_samples=True)
        return {
            row["doc"]["question_id"]: row["filtered_resps"][0].strip()
            for rows in results["samples"].values()
            for row in rows
        }

    return run


@click.command()
@click.option("--model", "reference", default="nano-large")
@click.option("--people", default=100)
@click.option("--start", default=0, help="First person; the models know 0 to 799.")
@click.option("--batch", default=32)
@click.option("--rounds", default=3)
def main(reference: str, people: int, start: int, batch: int, rounds: int) -> None:
    scratch = Path(tempfile.mkdtemp())
    population = load_pretrain_plan(BUILT_IN / BUILT_IN_NAMES[0] / "plan.json").population
    config = population.model_copy(update={"people": people, "start": start, "multi": 1})
    generate_dataset(config, scratch / "set")
    dataset = load_dataset_folder(scratch / "set")
    export_harness_tasks(dataset, scratch / "tasks", split="all")
    questions = select_questions(dataset, AnsweringConfig(split="all"))
    shots, _ = split_shots(dataset.shots, 5, 0)
    loaded, harness_model = load_model(reference), load_model(reference)
    click.echo(
        f"{find_model(reference).base_name}, {loaded.model.dtype}, {len(questions)} questions"
    )

    def answer(batching: Batching) -> Answers:
        predictions = answer_questions(
            loaded.model, loaded.tokenizer, questions, shots, batch, batching
        )
        return {prediction.question_id: prediction.prediction for prediction in predictions}

    runners: dict[str, Callable[[], Answers]] = {
        "ours": lambda: answer(SHARED_PREFIX),
        "full prompts with log-probabilities": lambda: answer(WHOLE_PROMPTS),
        "plain generate": lambda: answer_plainly(loaded, dataset, questions, batch),
    }
    if run := build_harness_runner(harness_model, scratch / "tasks", batch):
        runners["harness hf"] = run
    report(runners, questions, rounds)


def report(
    runners: dict[str, Callable[[], Answers]], questions: list[Question], rounds: int
) -> None:
    """Print processor seconds, paired ratios, and how many answers are the same."""
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    answers: dict[str, Answers] = {}
    for number in range(rounds):
        for name in list(runners)[:: 1 if number % 2 == 0 else -1]:
            start = time.process_time()
            answers[name] = runners[name]()
            seconds[name].append(time.process_time() - start)
    for name in runners:
        pairs = [(answers[name][q.question_id], answers["ours"][q.question_id]) for q in questions]
        num_same = sum(answer == our_answer for answer, our_answer in pairs)
        scores = [
            [compute_exact_match(answer, question.answers) for answer in pair]
            for pair, question in zip(pairs, questions, strict=True)
        ]
        num_same_score = sum(score == our_score for score, our_score in scores)
        em = statistics.mean(score for score, _ in scores)
        ratios = [a / b for a, b in zip(seconds[name], seconds["ours"], strict=True)]
        click.echo(
            f"{name}: median {statistics.median(seconds[name]):.2f} s, "
            f"{statistics.median(ratios):.2f}x ours ({min(ratios):.2f} to {max(ratios):.2f}), "
            f"EM {em:.3f}, the same answer to {num_same} and the same EM on {num_same_score} of "
            f"{len(questions)} questions"
        )


if __name__ == "__main__":
    main()
