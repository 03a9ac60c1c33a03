"""Export a dataset as tasks of EleutherAI's lm-evaluation-harness, with our prompts and scores.

There is one task per topic, and a group of all tasks. The shots are data of each task, of which the
harness shows the first ones before each question, so its options `--num_fewshot` and
`--apply_chat_template` keep working.
"""

import inspect
import json
import re
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from elusive.common import answers
from elusive.common.answers import compute_exact_match, compute_f1, hash_scoring
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.dataset.records import Question, from_table
from elusive.common.folders import create_folder, is_made
from elusive.common.jinja import render_template
from elusive.common.text import languages
from elusive.common.text.languages import ENGLISH, get_base_code
from elusive.evaluate.answering.predictions import SPARE_TOKENS
from elusive.evaluate.answering.prompts import get_topic, render_question, split_shots
from elusive.evaluate.cells.cell import build_no_questions_error

SCORES, DATA = "answer_scores", "data"
METRICS = ("exact_match", "f1")
LANGUAGE = ENGLISH
"""Of the answers; an exported module has that of its dataset."""
Topic = tuple[str, str]
"""Kind and field of a question."""


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
    counts = _count_topics(dataset, split)
    shots, _ = split_shots(dataset.shots, num_shots, seed)
    group = build_task_name(dataset.name)
    tasks = {topic: build_task_name(dataset.name, *topic) for topic in counts}
    origin = {
        "dataset": dataset.content_hash,
        "num_shots": num_shots,
        "seed": seed,
        "split": split,
        "scoring": hash_scoring(dataset.language),
    }
    parameters = origin | {"format": "lm-eval", "name": dataset.name}
    if not is_made(out, "export", parameters):
        with create_folder(out, "export", parameters) as folder:
            (folder / DATA).mkdir()
            longest = _write_questions(folder, dataset, tasks, split)
            for topic, name in tasks.items():
                own_shots = [shot for shot in shots if get_topic(shot) == topic]
                # The harness needs columns in the split of shots, even if it shows none of them.
                rows = [_row("", s.question, [s.answer]) for s in own_shots] or [_row("", "", [""])]
                _find_data(folder, name, "shots").write_text(_render(rows), encoding="utf-8")
                task = _task(name, len(own_shots), longest[topic], origin)
                _write_yaml(folder / f"{name}.yaml", task)
            _write_yaml(folder / f"{group}.yaml", _group(group, list(tasks.values())))
            module = render_scores_module(dataset.language)
            (folder / f"{SCORES}.py").write_text(module, encoding="utf-8")
            readme = render_template(
                Path(__file__).parent / "harness_task.md.j2",
                group=group,
                tasks=list(tasks.values()),
                spare_tokens=SPARE_TOKENS,
                **origin,
            )
            (folder / "README.md").write_text(readme, encoding="utf-8")
    return HarnessTasks(group, list(tasks.values()), sum(counts.values()))


def _count_topics(dataset: DatasetFolder, split: str) -> Counter[Topic]:
    """Count the questions of each topic, in the order in which topics first occur."""
    counts: Counter[Topic] = Counter()
    for batch in dataset.iterate_questions():
        columns = (batch.column(name).to_pylist() for name in ("kind", "field", "split"))
        counts.update(
            (kind, field) for kind, field, s in zip(*columns, strict=True) if split in ("all", s)
        )
    if not counts:
        raise build_no_questions_error(split)
    return counts


def _write_questions(
    folder: Path, dataset: DatasetFolder, tasks: dict[Topic, str], split: str
) -> dict[Topic, int]:
    """Write the questions of each task as they are read; return the most bytes of an answer."""
    longest = dict.fromkeys(tasks, 0)
    with ExitStack() as stack:
        files = {
            topic: stack.enter_context(
                _find_data(folder, name, "questions").open("w", encoding="utf-8")
            )
            for topic, name in tasks.items()
        }
        for batch in dataset.iterate_questions():
            for q in from_table(batch, Question):
                if split in ("all", q.split):
                    topic = get_topic(q)
                    files[topic].write(_render([_row(q.question_id, q.question, q.answers)]))
                    sizes = [len(f" {answer}\n".encode()) for answer in q.answers]
                    longest[topic] = max(longest[topic], *sizes)
    return longest


def _find_data(folder: Path, name: str, table: str) -> Path:
    return folder / DATA / f"{name}.{table}.jsonl"


def _render(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


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
        "exact_match": compute_exact_match(answer, doc["answers"], LANGUAGE),
        "f1": compute_f1(answer, doc["answers"], LANGUAGE),
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


def render_scores_module(language: str) -> str:
    """Render the source of the exported module: our scoring, and the functions the harness calls.

    It is a copy, so that the tasks also run without `elusive`.
    """
    doc, _, scoring = inspect.getsource(answers).partition('"""\n\n')
    scripts = inspect.getsource(languages).partition('"""\n\n')[2]
    scoring = re.sub(r"^from elusive\..*\n", "", scoring, flags=re.MULTILINE)
    head = "import json\nfrom pathlib import Path\nfrom typing import Any\n\n"
    hooks = map(inspect.getsource, (process_results, load_questions_and_shots))
    parts = (head + scripts, scoring, f"LANGUAGE = {get_base_code(language)!r}\n", *hooks)
    return f'{doc}"""\n\n' + "\n\n".join(parts)


def _row(question_id: str, question: str, golds: list[str]) -> dict[str, Any]:
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
