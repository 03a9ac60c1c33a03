"""What several tests of reports share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import tenacity
from huggingface_hub import constants
from stand_in_hub_writes import Hub, writable_hub

from elusive.report.hub import hub_calls


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub of this test alone, without waits."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    # The first commit of every Hub has the same hash, so no two tests may share downloads.
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # the stand-in is on this machine
    monkeypatch.setattr(hub_calls, "WAIT", tenacity.wait_none())
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    for variable in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with writable_hub() as hub:
        yield hub
