"""Presets report nobody on whom their settings were chosen."""

from pathlib import Path

import pytest
import yaml

from elusive.biogen.config import BiogenConfig
from elusive.biogen.questions import generate_questions
from elusive.evaluate.plans import PRESETS, Plan, list_presets, load_plan

PLANS = {name: load_plan(Path(name)) for name in list_presets()}
KNOWN = yaml.safe_load((PRESETS / "nano-family.yaml").read_text())["population"]["people"]
CHOSEN_ON = {*range(KNOWN), *range(8000, 8100), *range(9000, 9050)}
"""Numbers of the people whom the built-in models know, and of those on whom the presets' learning
rates were chosen by looking at plain training."""


def list_sources(plan: Plan) -> list[BiogenConfig]:
    """List a plan's datasets of invented people; another is a folder that `elusive wikiqa` made."""
    return [source for source in plan.sources.values() if isinstance(source, BiogenConfig)]


def list_people(plan: Plan) -> set[int]:
    """List the numbers of all people of a plan's datasets."""
    if not (sources := list_sources(plan)):
        return set()
    assert {source.seed for source in sources} == {0}, "numbers of another seed are other people"
    return {number for s in sources for number in range(s.start, s.start + s.people)}


def list_asked(source: BiogenConfig, split: str) -> set[str]:
    """List the names of the people about whom a split of a dataset asks."""
    return {question.entity for question in generate_questions(source) if question.split == split}


@pytest.mark.parametrize("name", PLANS)
def test_a_preset_reports_nobody_on_whom_its_settings_were_chosen(name):
    plan = PLANS[name]
    assert not list_people(plan) & CHOSEN_ON
    assert plan.answering.split == "test"
    for source in list_sources(plan):
        dev, test = (list_asked(source, split) for split in ("dev", "test"))
        assert test
        if plan.sweep is None:
            assert not dev, "nobody uses the dev people: set dev_rate to 0"
        else:
            assert plan.sweep.protocol == "best-on-dev"
            assert dev
            assert not dev & test


def test_no_preset_decides_anything_about_the_people_of_another():
    """What one preset shows may change another, as `ablation` did; the paper's plans are one."""
    seen: dict[int, str] = {}
    for name, plan in PLANS.items():
        experiment = "test-augmentation" if name.startswith("paper-") else name
        for number in list_people(plan):
            assert seen.setdefault(number, experiment) == experiment, f"{name}: person {number}"
