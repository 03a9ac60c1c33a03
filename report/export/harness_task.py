"""Export a dataset as tasks of EleutherAI's lm-evaluation-harness, with our prompts and scores.

There is one task per topic, and a group of all tasks. The shots are data of each task, of which the
harness shows the first ones before each question, so its options `--num_fewshot` and
`--apply_chat_template` keep working.
"""

import inspect
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from elusive.common import answers
from elusive.common.answers import compute_exact_match, compute_f1, hash_scoring
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import Question, Shot
from elusive.common.folders import create_folder, is_made
from elusive.common.jinja import render_template
from elusive.evaluate.answering.predictions import SPARE_TOKENS
from elusive.evaluate.answering.prompts import get_topic, render_question, split_shots
from elusive.evaluate.cells.cell import select_questions
from elusive.evaluate.config import AnsweringConfig

SCORES, DATA = "answer_scores", "data"
METRICS = ("exact_match", "f1")


@dataclass(frozen=True)
class HarnessTasks:
    """Result of an export."""

    group: str
    """Name under which the harness runs all tasks."""
    tasks: list[str]
    num_questions: int


def export_harness_tasks(
    dataset: DatasetFolder, out: Path, num_shots: int = 5, seed: int = 0, split: str = "test"
) -> HarnessTasks:
    """Write the tasks of a dataset to a folder for the harness's `--include_path`.

    Args:
        dataset: dataset whose questions are asked.
        out: folder to write; it can be moved.
        num_shots: number of solved questions before each question.
        seed: chooses the solved questions, as in a cell of that seed.
        split: questions to ask: dev, test or all.

    Raises:
        InputError: the split has no questions, there are too few shots, or `out` holds something
            else.
    """
    questions = select_questions(dataset, AnsweringConfig(num_shots=num_shots, split=split))  # type: ignore[arg-type]
    shots, _ = split_shots(dataset.shots, num_shots, seed)
    group = build_task_name(dataset.name)
    tasks = {get_topic(q): build_task_name(dataset.name, *get_topic(q)) for q in questions}
    origin = {
        "dataset": dataset.content_hash,
        "num_shots": num_shots,
        "seed": seed,
        "split": split,
        "scoring": hash_scoring(),
    }
    parameters = origin | {"format": "lm-eval", "name": dataset.name}
    if not is_made(out, "export", parameters):
        with create_folder(out, "export", parameters) as folder:
            (folder / DATA).mkdir()
            for kind_and_field, name in tasks.items():
                own_questions = [q for q in questions if get_topic(q) == kind_and_field]
                own_shots = [shot for shot in shots if get_topic(shot) == kind_and_field]
                _write_task(folder, name, own_questions, own_shots, origin)
            _write_yaml(folder / f"{group}.yaml", _group(group, list(tasks.values())))
            (folder / f"{SCORES}.py").write_text(render_scores_module(), encoding="utf-8")
            readme = render_template(
                Path(__file__).parent / "harness_task.md.j2",
                group=group,
                tasks=list(tasks.values()),
                spare_tokens=SPARE_TOKENS,
                **origin,
            )
            (folder / "README.md").write_text(readme, encoding="utf-8")
    return HarnessTasks(group, list(tasks.values()), len(questions))


def build_task_name(*parts: str) -> str:
    """Build the name of a task; the prefix keeps it apart from the harness's own tasks.

    >>> build_task_name("my people", "multi-hop", "sibling.company")
    'elusive_my_people_multi_hop_sibling_company'
    """
    return "_".join(["elusive", *(re.sub(r"\W+", "_", part) for part in parts)])


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Return exact match and F1 of an answer without its surrounding white space."""
    answer = results[0].strip()
    return {
        "exact_match": compute_exact_match(answer, doc["answers"]),
        "f1": compute_f1(answer, doc["answers"]),
    }


def load_questions_and_shots(task: str, **_: object) -> Any:
    """Load the questions of a task, and the solved questions that stand before each."""
    from datasets import Dataset, DatasetDict

    folder = Path(__file__).parent / "data"
    tables = {}
    for split in ("questions", "shots"):
        with (folder / f"{task}.{split}.jsonl").open(encoding="utf-8") as lines:
            tables[split] = Dataset.from_list([json.loads(line) for line in lines])
    return DatasetDict(tables)


def render_scores_module() -> str:
    """Render the source of the exported module: our scoring, and the functions the harness calls.

    It is a copy, so that the tasks also run without `elusive`.
    """
    head = "import json\nfrom pathlib import Path\nfrom typing import Any\n\n"
    doc, _, rest = inspect.getsource(answers).partition('"""\n\n')
    hooks = "\n\n".join(map(inspect.getsource, (process_results, load_questions_and_shots)))
    return f'{doc}"""\n\n{head}{rest}\n\n{hooks}'


def _write_task(
    folder: Path,
    name: str,
    questions: list[Question],
    shots: list[Shot],
    origin: dict[str, Any],
) -> None:
    """Write the YAML, the questions and the shots of one topic."""
    rows = {
        "questions": [_row(q.question_id, q.question, q.answers) for q in questions],
        # The harness needs columns in the split of shots, even if it shows none of them.
        "shots": [_row("", shot.question, [shot.answer]) for shot in shots] or [_row("", "", [""])],
    }
    for table, content in rows.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        (folder / DATA / f"{name}.{table}.jsonl").write_text(lines, encoding="utf-8")
    longest = max(len(f" {answer}\n".encode()) for q in questions for answer in q.answers)
    _write_yaml(folder / f"{name}.yaml", _task(name, len(shots), longest, origin))


def _row(question_id: str, question: str, golds: list[str]) -> dict[str, Any]:
    """A question in the form that the harness reads."""
    return {
        "question_id": question_id,
        "question": question,
        "prompt": render_question(question),
        "answer": golds[0],
        "answers": golds,
    }


def _task(name: str, num_shots: int, longest: int, origin: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": name,
        "custom_dataset": _Function(f"{SCORES}.load_questions_and_shots"),
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
        # A tokenizer that falls back to bytes never needs more tokens than bytes for an answer.
        "generation_kwargs": {"until": ["\n"], "do_sample": False, "max_gen_toks": longest},
        "process_results": _Function(f"{SCORES}.process_results"),
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True}
            for metric in METRICS
        ],
        "metadata": {"version": 1.0, **origin},
    }


def _group(group: str, tasks: list[str]) -> dict[str, Any]:
    """Settings of the group, whose scores are means over all questions."""
    return {
        "group": group,
        "task": tasks,
        "aggregate_metric_list": [
            {"metric": metric, "aggregation": "mean", "weight_by_size": True} for metric in METRICS
        ],
        "metadata": {"version": 1.0},
    }


class _Function(str):
    """Name of a function, written with the tag of the harness."""


class _Dumper(yaml.SafeDumper):
    """Writer of YAML that knows the tag of the harness for functions."""


_Dumper.add_representer(
    _Function, lambda dumper, name: dumper.represent_scalar("!function", str(name))
)


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")
