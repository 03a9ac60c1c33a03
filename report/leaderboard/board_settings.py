"""Settings of a leaderboard, `board.yaml`: its title, and what its datasets and arms are."""

import re
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

from elusive.common.errors import InputError
from elusive.common.jinja import render_template
from elusive.common.yaml_files import load_config

SETTINGS = "board.yaml"
TITLE = "Leaderboard"
SHORT_HASH = 12
"""Characters of a content hash that stand for a dataset."""


class BoardSettings(BaseModel):
    """What a leaderboard says beside the numbers of its entries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(default=TITLE, min_length=1, max_length=200, description="Title.")
    about: str = Field(
        default="Which way of preparing text teaches a language model the most facts? Each row is "
        "one way (an arm). All rows of a table train the same model on the same documents and "
        "answer the same questions about them, without seeing the documents.",
        description="What is compared, in a few sentences.",
    )
    submit_to: str | None = Field(
        default=None, description="Address of the repository that takes pull requests."
    )
    names: dict[str, str] = Field(
        default_factory=dict,
        description="What a dataset is, by the first 12 characters of its content hash.",
    )
    links: dict[str, str] = Field(
        default_factory=dict,
        description="Addresses of datasets (by these characters or name), models and arms.",
    )

    @field_validator("submit_to")
    @classmethod
    def _check_address(cls, address: str | None) -> str | None:
        if address is not None and not re.match(r"https?://", address):
            raise InputError(f"{address!r} is no address: begin it with https://")
        return address

    @field_validator("links")
    @classmethod
    def _check_addresses(cls, links: dict[str, str]) -> dict[str, str]:
        return {name: cls._check_address(address) or "" for name, address in links.items()}


def load_board_settings(board: Path) -> BoardSettings:
    """Load the settings of a leaderboard; the defaults if it has no `board.yaml`.

    Raises:
        InputError: the file is not YAML, or a setting is wrong.
    """
    path = board / SETTINGS
    if not path.exists():
        return BoardSettings()
    return load_config(BoardSettings, path, "settings of a leaderboard", "title: Leaderboard")


def render_board_settings(settings: BoardSettings) -> str:
    """Render settings as YAML, with what each of them means."""
    lines = {
        name: yaml.safe_dump({name: value}, allow_unicode=True, width=100).rstrip()
        for name, value in settings.model_dump(mode="json").items()
    }
    return render_template(Path(__file__).parent / "board.yaml.j2", **lines)
