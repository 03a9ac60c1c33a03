"""The report page: one HTML file that shows the results of benchmarks and their limits."""

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from markupsafe import Markup

from elusive.common.dataset.folder import load_dataset_folder
from elusive.common.errors import InputError
from elusive.common.folders import write_atomically
from elusive.common.jinja import render_template
from elusive.evaluate.cells.cell_folder import CellResult
from elusive.evaluate.compare.groups import group_arms, group_benchmarks
from elusive.evaluate.compare.selection import select_comparable_cells
from elusive.evaluate.figures.arm_marks import PALETTE
from elusive.evaluate.plans import PLAN, find_dataset
from elusive.report.page.answers_data import MOST_BYTES
from elusive.report.page.benchmark_data import build_benchmark_data
from elusive.report.page.training_text_data import NO_RUN, build_gain_data, build_viewer_data

MADE_BY = '<meta name="generator" content="elusive report">'
"""Mark of every page; files without it are not overwritten."""
SCRIPTS = ("page_elements.js", "page_table.js", "page_charts.js", "page_answers.js", "page.js")
STYLE = "page.css"
ABOUT = (
    "Which way of preparing a text best teaches a language model the facts in it? Each arm is one "
    "way. All arms of a benchmark train the same model on the same documents; each trained model "
    "is then asked about them without seeing them."
)


def write_page(
    cells: list[CellResult],
    out: Path,
    title: str,
    runs: Sequence[Path] = (),
    baseline: str | None = None,
    metric: str = "em",
) -> None:
    """Write the report of some cells as one HTML file that loads nothing from elsewhere.

    Args:
        cells: of one or more benchmarks.
        out: the file; an older report is replaced.
        title: of the page.
        runs: folders of `elusive run` that hold the cells, whose training texts are shown; none
            leaves them out.
        baseline: arm to compare the others with; by default random, else plain.
        metric: what arms are ranked and compared by: as in `build_table`.

    Raises:
        InputError: `out` is not a report, no benchmark can be shown, or a dataset or training text
            of the run is damaged.
    """
    check_replaceable(out)
    data = build_page_data(cells, title, runs, baseline, metric)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, render_report(data))


def check_replaceable(out: Path) -> None:
    """Raise InputError if `out` is a folder, or a file that is not a report page."""
    if out.is_dir():
        raise InputError(f"{out} is a folder: name a file, such as {out / 'report.html'}")
    if out.exists() and MADE_BY.encode() not in out.read_bytes()[:2000]:
        raise InputError(f"{out} is not a report page: choose another --out or delete it")


def build_page_data(
    cells: list[CellResult],
    title: str,
    runs: Sequence[Path] = (),
    baseline: str | None = None,
    metric: str = "em",
) -> dict[str, Any]:
    """Build the page's data as JSON; arguments and errors are those of `write_page`."""
    shown: list[dict[str, Any]] = []
    reasons: dict[str, InputError] = {}
    benchmarks = group_benchmarks(cells)
    most_bytes = MOST_BYTES // max(1, len(benchmarks))
    for name, members in benchmarks.items():
        try:
            shown.append(build_benchmark_data(name, members, baseline, metric, most_bytes))
        except InputError as reason:
            reasons[name] = reason
            continue
        order = [row["arm"] for row in shown[-1]["rows"]]
        shown[-1] |= {"anchor": make_anchor(name)} | _build_run_data(members, runs, order)
    if not shown:
        raise next(iter(reasons.values()), InputError("there are no cells to report"))
    return {
        "title": title,
        "about": ABOUT,
        "version": version("elusive"),
        "plan": _read_plans(runs),
        "board": None,
        "benchmarks": shown,
        "not_shown": [f"{name}: {reason}" for name, reason in reasons.items()],
    }


def make_anchor(name: str) -> str:
    """Make the anchor of a benchmark, in the manner of headings.

    >>> make_anchor("people, nano-large, 66 exposures")
    'people-nano-large-66-exposures'
    """
    return re.sub(r"[^\w.]+", "-", name.lower()).strip("-")


def _build_run_data(
    cells: list[CellResult], runs: Sequence[Path], order: list[str]
) -> dict[str, Any]:
    """Build what the texts of a benchmark's run show, or say why they show nothing.

    Of several runs, it is the one that holds the most cells of the benchmark.

    Args:
        cells: of the benchmark.
        runs: folders that may hold them.
        order: labels of the arms, the best arm first.
    """
    counts = Counter(run for cell in cells for run in runs if run in cell.folder.parents)
    run = max(counts, key=lambda run: counts[run], default=None)
    if run is None or not (run / PLAN).exists():
        return {"gains": {"why": NO_RUN}, "viewer": {"why": NO_RUN}}
    folder = find_dataset(run, cells[0].parameters.get("dataset_name"))
    try:
        dataset = load_dataset_folder(folder)
    except InputError as reason:
        return {"gains": {"why": str(reason)}, "viewer": {"why": str(reason)}}
    kept = [cell for cell in select_comparable_cells(cells)[0] if run in cell.folder.parents]
    arms = group_arms(kept)
    arms = {name: arms[name] for name in order if name in arms}
    if cells[0].parameters["dataset"] != dataset.content_hash:
        why = {"why": f"{folder} is not the dataset of these cells"}
        return {"gains": why, "viewer": why}
    return {
        "gains": build_gain_data(arms, dataset, run),
        "viewer": build_viewer_data(arms, dataset, folder, run)
        | ({"run": run.name} if len(runs) > 1 else {}),
    }


def _read_plans(runs: Sequence[Path]) -> str:
    """Read the plans of runs as YAML, one after another; empty without any."""
    paths = [run / PLAN for run in runs if (run / PLAN).exists()]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    if len(texts) == 1:
        return texts[0]
    return "\n".join(f"# {path}\n{text}" for path, text in zip(paths, texts, strict=True))


def render_report(data: dict[str, Any]) -> str:
    """Render the page as HTML.

    The data is embedded as JSON without `<`, `>` and `&`. The content policy allows only the page's
    own script and style, by their hashes, and the text viewers in it, by their nonces.
    """
    folder = Path(__file__).parent
    script = "".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)
    style = (folder / STYLE).read_text(encoding="utf-8") + _render_palette(PALETTE)
    viewers = [benchmark["viewer"] for benchmark in data["benchmarks"]]
    nonces = [f"'nonce-{viewer['nonce']}'" for viewer in viewers if "nonce" in viewer]
    return render_template(
        folder / "page.html.j2",
        title=data["title"],
        kind="leaderboard" if data["board"] else "report",
        about=data["about"],
        board=data["board"],
        version=data["version"],
        style=Markup(style),
        script=Markup(script),
        script_sources=" ".join([_hash_source(script), *nonces]),
        style_sources=" ".join([_hash_source(style), *nonces]),
        data=Markup(_embed_json(data)),
    )


def _render_palette(palette: Mapping[str, tuple[str, str]]) -> str:
    """Render the colors of the families of arms as CSS classes."""
    return "".join(
        f".f-{family} {{ color: light-dark({light}, {dark}); }}\n"
        for family, (light, dark) in palette.items()
    )


def _hash_source(text: str) -> str:
    """Name an inline script or style in a content policy."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _embed_json(data: dict[str, Any]) -> str:
    """Write JSON that is safe in a script element, whatever strings it contains."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
