"""The table of architectures is what its command finds, here for a sample."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ("llama", "mixtral", "gemma3_text", "qwen3_next", "gpt_oss", "mpt", "bert", "jamba")
"""Plain, with experts, with windows, hybrid, with sinks, with biases, looking ahead, recurrent."""


@pytest.mark.parametrize("name", SAMPLE)
def test_the_table_has_what_a_probe_finds(name):
    spec = importlib.util.spec_from_file_location("x", ROOT / "benchmarks/architectures.py")
    assert spec is not None
    assert spec.loader is not None
    command = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(command)
    row = command.render_row(name, command.probe_architecture(name))
    table = (ROOT / "docs/architectures.md").read_text(encoding="utf-8").splitlines()
    assert row in table, row
