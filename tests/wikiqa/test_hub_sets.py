"""Question sets from the Hub, which is a stand-in here."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from question_sets import load
from stand_in_hub import COMMIT, stand_in_hub

from elusive.common.folders import read_manifest

HUB_RUN = """
import sys
from pathlib import Path
from elusive.common.errors import InputError
from elusive.wikiqa.config import WikiqaConfig
from elusive.wikiqa.gather import build_dump_work, gather_articles
from elusive.wikiqa.generate import generate_dataset
for name in sys.argv[2:]:
    try:
        print(generate_dataset(WikiqaConfig(hub=name, shots=0), Path(sys.argv[1], name)))
    except InputError as error:
        print("error:", error)
"""


def run_with_hub(*names: str, endpoint: str, out: Path) -> list[str]:
    """The lines that making sets from the Hub prints, in a process whose Hub is the endpoint."""
    environment = os.environ | {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(out.parent / "home"),
        "HF_HUB_OFFLINE": "0",
    }
    for variable in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        environment.pop(variable, None)
    command = [sys.executable, "-c", HUB_RUN, str(out), *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith(("True", "error"))]


def test_a_dataset_of_the_hub_is_read_and_its_commit_noted_down(tmp_path):
    rows = [
        {
            "id": f"q{n}",
            "title": f"City_{n}",
            "context": f"City {n} has mayor M{n}.",
            "question": f"Who runs City {n}?",
            "answers": {"text": [f"M{n}"], "answer_start": [17]},
        }
        for n in range(4)
    ]
    (tmp_path / "repository").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "repository" / "train.parquet")
    out = tmp_path / "out" / "org" / "cities"
    with stand_in_hub("org/cities", tmp_path / "repository", "datasets") as endpoint:
        names = ("org/cities", "org/none")
        message, missing = run_with_hub(*names, endpoint=endpoint, out=tmp_path / "out")
    assert message == "True"
    assert len(load(out)[1]) == 4
    assert read_manifest(out, "dataset").parameters["revision"] == COMMIT
    assert missing.startswith("error: cannot reach 'org/none' on the Hub")


def test_without_a_network_the_hub_is_one_line_that_says_how_to_go_on(tmp_path):
    (message,) = run_with_hub("org/cities", endpoint="http://127.0.0.1:9", out=tmp_path / "out")
    assert message.startswith("error: cannot reach 'org/cities' on the Hub")
    assert "--table FILE" in message
