"""Commands as users type them, and plans of runs that take seconds."""

import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from elusive.cli.main import cli, main

TRAINING = {"epochs": 1, "batch_size": 4, "format_replay": 2}
FIELDS = ["company", "major"]
"""Fields of the plans' datasets. Two are enough, and every further one costs another batch."""


def run(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def line_of_error(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """The message on stderr of a command that must end with exit code 2."""
    sys.argv = ["elusive", *map(str, arguments)]
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("elusive: error: ")
    assert "Traceback" not in "\n".join(lines)
    return lines[-1]


def write_plan(path: Path, model_path: Path, **changes: object) -> Path:
    """Write a plan of two arms and one seed to a file."""
    plan = {
        "dataset": {"people": 4, "num_shot_people": 20, "fields": FIELDS},
        "model": str(model_path),
        "arms": ["plain", "random"],
        "augment": {"copies": 2},
        "training": {"epochs": 1, "format_replay": 4},
        "answering": {"num_shots": 2},
    }
    path.write_text(yaml.safe_dump(plan | changes))
    return path


def write_grid_plan(folder: Path, model_folder, **changes: object) -> Path:
    """Write a plan of two arms and two seeds into a folder."""
    plan = {
        "dataset": {"people": 3, "num_shot_people": 8, "dev_rate": 0, "fields": FIELDS},
        "model": str(model_folder("llama")),
        "arms": ["plain", "random"],
        "augment": {"copies": 2},
        "training": TRAINING,
        "seeds": [0, 1],
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan | changes))
    return path
