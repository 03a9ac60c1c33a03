"""A dataset as tasks of EleutherAI's lm-evaluation-harness, asked and scored as `elusive` does it.

One task per topic, in a group: the harness shows a task's first shots before each question, so the
shots stay data of its own, and its `--num_fewshot` and `--apply_chat_template` go on working.
"""

import inspect
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from elusive.common import answers
from elusive.common.answers import exact_match, f1, scoring_hash
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import Question, Shot
from elusive.common.folders import already_made, new_folder
from elusive.common.templates import render_template
from elusive.evaluate.answering.prompts import question_text, split_shots, topic
from elusive.evaluate.cells.cell import asked_questions
from elusive.evaluate.config import AnsweringConfig

SCORES, DATA = "answer_scores", "data"
METRICS = ("exact_match", "f1")


@dataclass(frozen=True)
class HarnessTasks:
    """What was exported."""

    group: str
    """Name that the harness runs all tasks by."""
    tasks: list[str]
    num_questions: int


def export_harness_tasks(
    dataset: DatasetFolder, out: Path, num_shots: int = 5, seed: int = 0, split: str = "test"
) -> HarnessTasks:
    """The tasks of a dataset, written into a folder for the harness's `--include_path`.

    Args:
        dataset: whose questions are asked.
        out: folder to write; nothing in it depends on where it stands.
        num_shots: solved questions before each one.
        seed: decides which, as in a cell of that seed.
        split: of the questions: dev, test or all.

    Raises:
        InputError: no questions of that split, too few shots, or `out` holds something else.
    """
    asked = asked_questions(dataset, AnsweringConfig(num_shots=num_shots, split=split))  # type: ignore[arg-type]
    shown, _ = split_shots(dataset.shots, num_shots, seed)
    group = task_name(dataset.name)
    topics = list(dict.fromkeys(map(topic, asked)))
    names = {wanted: task_name(dataset.name, *wanted) for wanted in topics}
    origin = {
        "dataset": dataset.content_hash,
        "num_shots": num_shots,
        "seed": seed,
        "split": split,
        "scoring": scoring_hash(),
    }
    parameters = origin | {"format": "lm-eval", "name": dataset.name}
    if not already_made(out, "export", parameters):
        with new_folder(out, "export", parameters) as folder:
            (folder / DATA).mkdir()
            for wanted, name in names.items():
                _write_task(folder, name, wanted, asked, shown, origin)
            _write_yaml(folder / f"{group}.yaml", _group(group, list(names.values())))
            (folder / f"{SCORES}.py").write_text(scores_module(), encoding="utf-8")
            readme = render_template(
                Path(__file__).parent / "harness_task.md.j2",
                group=group,
                tasks=list(names.values()),
                **origin,
            )
            (folder / "README.md").write_text(readme, encoding="utf-8")
    return HarnessTasks(group, list(names.values()), len(asked))


def task_name(*parts: str) -> str:
    """Name of a task that no task of the harness has.

    >>> task_name("my people", "multi-hop", "sibling.company")
    'elusive_my_people_multi_hop_sibling_company'
    """
    return "_".join(["elusive", *(re.sub(r"\W+", "_", part) for part in parts)])


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Exact match and F1 of a question's answer, its white space stripped."""
    answer = results[0].strip()
    return {
        "exact_match": exact_match(answer, doc["answers"]),
        "f1": f1(answer, doc["answers"]),
    }


def questions_and_shots(task: str, **_: object) -> Any:
    """The questions of a task, and the solved ones that stand before each."""
    from datasets import Dataset, DatasetDict

    folder = Path(__file__).parent / "data"
    tables = {}
    for split in ("questions", "shots"):
        with (folder / f"{task}.{split}.jsonl").open(encoding="utf-8") as lines:
            tables[split] = Dataset.from_list([json.loads(line) for line in lines])
    return DatasetDict(tables)


def scores_module() -> str:
    """Source of the exported module: how `elusive` scores answers, and what the harness calls.

    A copy, so that the tasks run where `elusive` is not installed.
    """
    head = "import json\nfrom pathlib import Path\nfrom typing import Any\n\n"
    doc, _, rest = inspect.getsource(answers).partition('"""\n\n')
    called = "\n\n".join(map(inspect.getsource, (process_results, questions_and_shots)))
    return f'{doc}"""\n\n{head}{rest}\n\n{called}'


def _write_task(
    folder: Path,
    name: str,
    wanted: tuple[str, str],
    asked: list[Question],
    shown: list[Shot],
    origin: dict[str, Any],
) -> None:
    """One topic's YAML, questions and shots."""
    questions = [question for question in asked if topic(question) == wanted]
    shots = [shot for shot in shown if topic(shot) == wanted]
    rows = {
        "questions": [_row(q.question_id, q.question, q.answers) for q in questions],
        # The harness wants its shots split to have columns, even where it shows none.
        "shots": [_row("", shot.question, [shot.answer]) for shot in shots] or [_row("", "", [""])],
    }
    for table, content in rows.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        (folder / DATA / f"{name}.{table}.jsonl").write_text(lines, encoding="utf-8")
    longest = max(len(f" {answer}\n".encode()) for q in questions for answer in q.answers)
    _write_yaml(folder / f"{name}.yaml", _task(name, len(shots), longest, origin))


def _row(question_id: str, question: str, golds: list[str]) -> dict[str, Any]:
    """A question as the harness reads it."""
    return {
        "question_id": question_id,
        "question": question,
        "prompt": question_text(question),
        "answer": golds[0],
        "answers": golds,
    }


def _task(name: str, num_shots: int, longest: int, origin: dict[str, Any]) -> dict[str, Any]:
    """Settings of one task."""
    return {
        "task": name,
        "custom_dataset": _Function(f"{SCORES}.questions_and_shots"),
        "dataset_kwargs": {"task": name},
        "test_split": "questions",
        "fewshot_split": "shots",
        "fewshot_config": {"sampler": "first_n"},
        "num_fewshot": num_shots,
        "output_type": "generate_until",
        "doc_to_text": "prompt",
        "doc_to_target": "answer",
        "target_delimiter": " ",
        "fewshot_delimiter": "\n",
        # No tokenizer that falls back to bytes writes an answer in more tokens than bytes.
        "generation_kwargs": {"until": ["\n"], "do_sample": False, "max_gen_toks": longest},
        "process_results": _Function(f"{SCORES}.process_results"),
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True}
            for metric in METRICS
        ],
        "metadata": {"version": 1.0, **origin},
    }


def _group(group: str, tasks: list[str]) -> dict[str, Any]:
    """Settings of the group: means over all questions."""
    return {
        "group": group,
        "task": tasks,
        "aggregate_metric_list": [
            {"metric": metric, "aggregation": "mean", "weight_by_size": True} for metric in METRICS
        ],
        "metadata": {"version": 1.0},
    }


class _Function(str):
    """Name of a function, written with the harness's tag."""


class _Dumper(yaml.SafeDumper):
    """YAML with the harness's tag for functions."""


_Dumper.add_representer(
    _Function, lambda dumper, name: dumper.represent_scalar("!function", str(name))
)


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Settings in the order given."""
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")
