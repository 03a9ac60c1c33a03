"""Arms of the user's own: a function in a file."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from elusive.augment.config import AugmentConfig
from elusive.augment.scores.user_scores import compute_user_scores, load_user_score
from elusive.augment.training_text import TrainingTextFolder
from elusive.cli.main import cli
from elusive.common.dataset.records import Document
from elusive.common.errors import InputError, validate_config

OWN = """
import numpy as np
def names_first(document, units):
    heads = {p for start, end in document.heads for p in range(start, end)}
    return np.array([float("inf") if start in heads else 0.0 for start, end in units])
def too_few(document, units):
    return [1.0]
def broken(document, units):
    return 1 / 0
def leaving(document, units):
    raise SystemExit(3)
def blank(document, units):
    return [float("nan")] * 2 + [1.0] * (len(units) - 2)
def wordy(document, units):
    raise ValueError("two\\nlines")
number = 3
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "arms.py"
    path.write_text(OWN)
    return path


def augment(people_folder, own, name, out):
    command = ["augment", str(people_folder), "--method-file", f"{own}:{name}", "--out", str(out)]
    return CliRunner().invoke(cli, command)


def test_an_own_arm_drops_as_it_scores(people_folder, own, tmp_path):
    result = augment(people_folder, own, "names_first", tmp_path / "text")
    assert result.exit_code == 0, result.output
    texts = TrainingTextFolder(tmp_path / "text").read_texts()
    assert {text.method for text in texts} == {"names_first"}
    assert sum(text.drop_rate for text in texts if text.copy) > 0
    by_document = {text.doc_id: text.text for text in texts if text.copy == 0}
    for text in texts:
        name = " ".join(by_document[text.doc_id].split()[:2])
        assert text.text.startswith(name)


def test_a_corrected_function_can_use_the_same_folder(people_folder, own, tmp_path):
    failed = augment(people_folder, own, "broken", tmp_path / "text")
    assert isinstance(failed.exception, InputError)
    own.write_text(OWN.replace("1 / 0", "[1.0] * len(units)"))
    load_user_score.cache_clear()  # each command is a process of its own
    corrected = augment(people_folder, own, "broken", tmp_path / "text")
    assert corrected.exit_code == 0, corrected.output


@pytest.mark.parametrize("scale", [1.0, 1e200, 1e-200])
@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_scores_of_any_size_keep_their_order(scale, offset, tmp_path):
    """32 bits had made them infinite, or equal."""
    path = tmp_path / "sizes.py"
    path.write_text(
        "def rising(document, units):\n"
        f"    return [float('-inf')] + [({offset} + i) * {scale} for i in range(len(units) - 2)]"
        " + [float('inf')]\n"
    )
    document = Document("d", "A", "x" * 50, [], [], [], "train", [], "")
    units = [(i, i + 1) for i in range(50)]
    scores = compute_user_scores(f"{path}:rising", document, units)
    assert (np.diff(scores) > 0).all()
    assert np.isfinite(scores[1:-1]).all()
    assert np.isinf(scores[[0, -1]]).all()


def test_a_changed_file_is_another_arm(people_folder, own, tmp_path):
    assert augment(people_folder, own, "names_first", tmp_path / "text").exit_code == 0
    own.write_text(OWN.replace("0.0 for", "1.0 for"))
    result = augment(people_folder, own, "names_first", tmp_path / "text")
    assert isinstance(result.exception, InputError)
    assert "method_hash" in str(result.exception)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("too_few", r"returned scores of shape \(1,\) for the \d+ units of document 'bio-0000000"),
        ("broken", "raises an error on document 'bio-0000000': ZeroDivisionError"),
        ("leaving", "raises an error on document 'bio-0000000': SystemExit: 3"),
        ("blank", r"returned 2 NaN among the \d+ units of document 'bio-0000000'"),
        ("wordy", "ValueError: two lines$"),
        ("number", "has no function 'number'"),
        ("absent", "has no function 'absent'"),
    ],
)
def test_what_is_wrong_with_an_own_arm_is_one_line(people_folder, own, tmp_path, name, message):
    result = augment(people_folder, own, name, tmp_path / "text")
    assert isinstance(result.exception, InputError)
    assert result.exception.args
    with pytest.raises(InputError, match=message):
        raise result.exception


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method_file": "arms.txt:f"}, "should be FILE.py:FUNCTION"),
        ({"method_file": "arms.py:random"}, "'random' is the name of a built-in arm"),
        ({"method_file": "arms.py:f", "method": "random"}, "name two arms"),
        ({}, "name an arm with --method"),
    ],
)
def test_settings_that_name_no_arm_are_one_line(settings, message):
    with pytest.raises(InputError, match=message):
        validate_config(AugmentConfig, settings)


def test_an_own_arm_stands_in_the_same_table(own, model_folder, tmp_path):
    plan = {
        "dataset": {"people": 3, "num_shot_people": 10},
        "model": str(model_folder("llama")),
        "arms": ["random", {"method_file": f"{own}:names_first"}],
        "augment": {"copies": 1},
        "training": {"epochs": 6, "format_replay": 0},
        "answering": {"num_shots": 1},
        "untrained": False,
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    command = ["run", str(tmp_path / "plan.yaml"), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    rows = (tmp_path / "run/table.md").read_text().splitlines()[2:]
    assert [row.split()[1] for row in rows] == ["random", "names_first"]
