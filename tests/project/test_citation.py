"""How the software is cited agrees with what is released."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_citation_is_of_this_version_and_licence():
    assert CITATION["version"] == PROJECT["version"]
    assert CITATION["license"] == PROJECT["license"]


def test_the_changelog_has_notes_of_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{PROJECT['version']}] - " in changelog or (
        f"## [Unreleased]\n\nThis will be version {PROJECT['version']}." in changelog
    )


def test_the_citation_has_what_the_format_demands_and_names_the_paper():
    assert {"cff-version", "message", "title", "authors", "abstract"} <= CITATION.keys()
    (paper,) = CITATION["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Gao", "Zhang", "Li", "Wu"]
    assert paper["year"] == 2025
    assert "2409.17954" in paper["url"]
