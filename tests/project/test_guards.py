"""The layout holds: the root is the package `elusive`, no folder has an `__init__.py`."""

import ast
import doctest
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import write_plan
from rooms import MAY_IMPORT, MOST_MODULES

from elusive.evaluate.plans import load_plan
from elusive.evaluate.run import run_plan

ROOT = Path(__file__).resolve().parents[2]
SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WRITTEN = {"board", "data", "exports", "figures", "hub", "runs"}
"""Folders that the commands of README.md write, in a clone too."""
NOT_PACKAGED = {"tests", "benchmarks", "docs", "site", "typings", "build", "dist", *WRITTEN}
HEAVY = {"torch", "transformers"}


def python_files(folder: Path) -> list[Path]:
    """Every Python file below `folder`."""
    return sorted(folder.rglob("*.py"))


def code_folders() -> list[Path]:
    """Top-level folders that hold code of the package."""
    return sorted(
        folder
        for folder in ROOT.iterdir()
        if folder.is_dir()
        and folder.name not in NOT_PACKAGED
        and not folder.name.startswith(".")
        and python_files(folder)
    )


def code_files() -> list[Path]:
    """Every Python file of the package."""
    return [path for folder in code_folders() for path in python_files(folder)]


def imported_names(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, relative ones from `elusive` on.

    `from a import b` gives both `a` and `a.b`, as b may be a module.
    """
    package = ["elusive", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def within(name: str, module: str) -> bool:
    """Whether a dotted name is `module` or lies in it."""
    return name == module or name.startswith(f"{module}.")


def run_python(code: str, *arguments: str, folder: Path, **environment: str) -> str:
    """Standard output of a fresh interpreter that runs `code`, started in `folder`."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the tree, so that nothing of an earlier build is in it."""
    tree = tmp_path_factory.mktemp("tree") / "elusive"
    unwanted = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__")
    shutil.copytree(
        ROOT,
        tree,
        ignore=lambda folder, names: (
            unwanted(folder, names) | (NOT_PACKAGED if Path(folder) == ROOT else set())
        ),
    )
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tree)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tree.glob("*.whl")
    return path


def test_no_folder_has_an_init_file():
    assert not (ROOT / "__init__.py").exists()
    assert [path for path in code_files() if path.name == "__init__.py"] == []


def test_evaluate_at_the_root_is_hugging_faces_and_ours_stands_beside_it():
    code = """
import json, evaluate, elusive.evaluate.answering.hf_metric as ours
print(json.dumps([evaluate.__file__, callable(evaluate.load), ours.__file__]))
"""
    theirs, loads, ours = json.loads(run_python(code, folder=ROOT))
    assert Path(theirs) == SITE_PACKAGES / "evaluate" / "__init__.py"
    assert loads
    assert Path(ours).parts[-3:] == ("evaluate", "answering", "hf_metric.py")
    assert Path(theirs).parent not in Path(ours).parents


def test_every_code_folder_is_packaged():
    holding_code = {
        ".".join(["elusive", *path.parent.relative_to(ROOT).parts]) for path in code_files()
    }
    listed = set(PYPROJECT["tool"]["setuptools"]["packages"])
    assert holding_code - listed == set(), "list these under packages in pyproject.toml"
    assert listed - holding_code == {"elusive.presets"}, "folders without code that are packaged"


def test_every_code_folder_is_type_checked():
    included = set(PYPROJECT["tool"]["pyright"]["include"])
    assert {folder.name for folder in code_folders()} - included == set()


def test_every_code_folder_is_linked_for_type_checkers():
    for folder in code_folders():
        link = ROOT / "typings" / "elusive" / folder.name
        assert link.is_symlink(), f"make it: ln -s ../../{folder.name} {link.relative_to(ROOT)}"
        assert os.readlink(link) == f"../../{folder.name}"


def test_wheel_ships_only_elusive(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"elusive"}
    assert len(tops) == 2
    assert [name for name in names if name.startswith(("elusive/tests/", "elusive/typings/"))] == []


def test_wheel_ships_every_file_of_the_package(wheel: Path):
    shipped = set(zipfile.ZipFile(wheel).namelist())
    files = {
        f"elusive/{path.relative_to(ROOT).as_posix()}"
        for folder in [*code_folders(), ROOT / "presets"]
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".md"
    }
    assert files - shipped == set(), "list these under package-data in pyproject.toml"
    assert any(name.startswith("elusive/presets/") for name in shipped)


def test_wheel_runs_from_the_root_without_the_source(wheel: Path, tmp_path: Path):
    unpacked = tmp_path / "wheel"
    zipfile.ZipFile(wheel).extractall(unpacked)
    # -S leaves out the editable install, so that what the wheel lacks is not found elsewhere.
    command = [sys.executable, "-S", "-c", "from elusive.cli.main import main; main()"]
    environment = os.environ | {"PYTHONPATH": f"{unpacked}{os.pathsep}{SITE_PACKAGES}"}
    for arguments in (["--help"], ["biogen", "--people", "2", "--out", str(tmp_path / "people")]):
        done = subprocess.run(
            command + arguments,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "people" / "manifest.json").is_file()


def room_of(module: str) -> str | None:
    """The room that an imported name of ours lies in."""
    parts = module.split(".")[1:]
    while parts and not ((ROOT / "/".join(parts)).is_dir() and list_modules("/".join(parts))):
        parts.pop()
    return "/".join(parts) or None


def list_modules(room: str) -> list[Path]:
    """Python files of a room, those of the rooms below it left out."""
    return sorted((ROOT / room).glob("*.py"))


def rooms() -> set[str]:
    """Every folder that holds modules, by its path."""
    return {path.parent.relative_to(ROOT).as_posix() for path in code_files()}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_arrows_go_one_way(room: str):
    allowed = {room, *MAY_IMPORT[room]}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in list_modules(room)
        for name in imported_names(path)
        if name.startswith("elusive.") and room_of(name) not in allowed
    ]
    assert wrong == []


def test_stages_import_each_other_in_one_direction():
    arrows = {
        (room.split("/")[0], other.split("/")[0])
        for room, allowed in MAY_IMPORT.items()
        for other in allowed
    }
    both = {(a, b) for a, b in arrows if a != b and (b, a) in arrows}
    assert both == set()


def test_every_room_says_what_it_may_import():
    assert rooms() - set(MAY_IMPORT) == {"cli"}
    assert set(MAY_IMPORT) - rooms() == set()


@pytest.mark.parametrize("room", sorted(rooms() - {"cli"}))
def test_no_room_is_too_full(room: str):
    """The command line has a file for each command."""
    assert len(list_modules(room)) <= MOST_MODULES


@pytest.mark.parametrize("folder", sorted({path.parent for path in python_files(ROOT / "tests")}))
def test_no_folder_of_tests_is_too_full(folder: Path):
    assert len(list(folder.glob("*.py"))) <= MOST_MODULES


@pytest.mark.parametrize("stage", ["biogen", "wikiqa"])
def test_generators_import_no_heavy_library(stage: str):
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in python_files(ROOT / stage)
        for name in imported_names(path)
        if name.split(".")[0] in HEAVY
    ]
    assert wrong == []


def test_imports_of_our_code_start_with_elusive():
    ours = {folder.name for folder in code_folders()} - {"evaluate"}  # bare, that is Hugging Face's
    elsewhere = [*python_files(ROOT / "tests"), *python_files(ROOT / "benchmarks")]
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in [*code_files(), *elsewhere]
        for name in imported_names(path)
        if name.split(".")[0] in ours
    ]
    assert wrong == []


def test_no_module_is_named_like_the_standard_library():
    assert [path for path in code_files() if path.stem in sys.stdlib_module_names] == []


@pytest.mark.parametrize(
    "path",
    [path for path in code_files() if ">>> " in path.read_text(encoding="utf-8")],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_examples_in_docstrings_are_true(path: Path):
    """`--doctest-modules` would import `evaluate/` as `evaluate` and hide Hugging Face's."""
    name = ".".join(["elusive", *path.relative_to(ROOT).with_suffix("").parts])
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_help_imports_no_heavy_library(tmp_path: Path):
    code = """
import sys
from elusive.cli.main import cli
cli.main(["--help"], standalone_mode=False)
print("loaded:", *sys.modules)
"""
    loaded = set(run_python(code, folder=tmp_path).split("loaded:")[1].split())
    assert "click" in loaded
    assert loaded & {"torch", "datasets", "transformers"} == set()


def test_biographies_are_generated_without_pandas(tmp_path: Path):
    """Importing it takes longer than generating 100,000 of them."""
    code = """
import sys
from elusive.cli.main import cli
command = ["biogen", "--people", "20", "--workers", "1", "--dev-rate", "0.2", "--out", "people"]
cli.main(command, standalone_mode=False)
print("loaded:", *sys.modules)
"""
    loaded = set(run_python(code, folder=tmp_path).split("loaded:")[1].split())
    assert (tmp_path / "people" / "statistics.png").exists()
    assert loaded & {"pandas", "torch", "datasets"} == set()


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory, model_folder) -> Path:
    """A small run of two arms."""
    folder = tmp_path_factory.mktemp("finished")
    plan = write_plan(folder / "plan.yaml", model_folder("llama"))
    run_plan(load_plan(plan), folder / "run")
    return folder / "run"


@pytest.mark.parametrize("command", ["table", "report", "check", "rescore"])
def test_reading_results_imports_no_model_library(command: str, finished_run: Path, tmp_path: Path):
    """Tables, pages and leaderboards are made of stored answers alone."""
    run, board = finished_run, tmp_path / "board"
    arguments = {
        "table": ["table", str(run)],
        "report": ["report", str(run), "--out", str(tmp_path / "page.html")],
        "rescore": ["rescore", str(run)],
        "check": ["leaderboard", "check", str(board)],
    }
    code = """
import json, sys
from elusive.cli.main import cli
for arguments in json.loads(sys.argv[1]):
    cli.main(arguments, standalone_mode=False)
print("loaded:", *sys.modules)
"""
    steps = [["leaderboard", "add", str(run), "--to", str(board)]] if command == "check" else []
    printed = run_python(code, json.dumps([*steps, arguments[command]]), folder=tmp_path)
    loaded = set(printed.split("loaded:")[1].split())
    assert "elusive.evaluate.cells.cell_folder" in loaded
    assert loaded & {"torch", "transformers", "peft"} == set()


TYPOS = [
    (["run", "nano-dmo", "--out", "out"], "did you mean 'nano-demo'"),
    (["run", "nano-demo", "--arm", "plane", "--out", "out"], "did you mean 'plain'"),
    (["run", "nano-demo", "--set", "training.epoch=3", "--out", "out"], "training.epochs"),
    (["run", "nano-demo", "--set", "model=adapter", "--out", "out"], "holds an adapter"),
    (["run", "nano-demo", "--set", "dataset=none", "--out", "out"], "no dataset folder"),
    (["run", "nano-demo", "--set", "dataset.people=-1", "--out", "out"], "people: input"),
    (["evaluate", "none", "--model", "nano-large", "--out", "out"], "no dataset folder"),
    (["evaluate", "people", "--model", "adapter", "--out", "out"], "holds an adapter"),
    (["evaluate", "people", "--model", "nano-large", "--train", "no", "--out", "out"], "no train"),
    (["evaluate", "people", "--model", "nano-large", "--adapter", "no", "--out", "out"], "adapter"),
    (
        ["evaluate", "people", "--model", "nano-large", "--known", "no", "--out", "out"],
        "no dataset",
    ),
    (["evaluate", "people", "--model", "nano-large", "--split", "tst", "--out", "out"], "split"),
    (
        ["evaluate", "people", "--model", "nano-large", "--num-shots", "8", "--out", "out"],
        "shots 8",
    ),
    (["evaluate", "people", "--model", "nano-large", "--out", "adapter"], "other files"),
    (["augment", "none", "--method", "random", "--out", "out"], "no dataset folder"),
    (["augment", "people", "--method", "rndom", "--out", "out"], "did you mean 'random'"),
    (["augment", "people", "--method", "attention", "--out", "out"], "needs --model"),
    (["augment", "people", "--method", "attention", "--model", "adapter", "--out", "out"], "holds"),
    (["augment", "people", "--method-file", "no.py:mine", "--out", "out"], "no.py"),
]


@pytest.fixture(scope="module")
def typing_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset and an adapter."""
    from elusive.biogen.config import BiogenConfig
    from elusive.biogen.generate import generate_dataset

    folder = tmp_path_factory.mktemp("typing")
    generate_dataset(BiogenConfig(people=2, num_shot_people=8), folder / "people")
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_config.json").write_text("{}")
    return folder


def test_a_typo_costs_no_import_of_model_libraries(typing_folder: Path):
    """All of them in one process, as an import by any of them would be seen in the next."""
    code = """
import json, sys
from elusive.cli.main import cli
from elusive.common.errors import InputError
for arguments in json.loads(sys.argv[1]):
    try:
        cli.main(arguments, standalone_mode=False)
    except InputError as error:
        loaded = [name for name in ("torch", "transformers", "peft") if name in sys.modules]
        print(json.dumps([str(error), loaded]))
"""
    arguments = json.dumps([arguments for arguments, _ in TYPOS])
    printed = run_python(code, arguments, folder=typing_folder, HF_HUB_OFFLINE="1")
    results = [json.loads(line) for line in printed.splitlines()]
    assert len(results) == len(TYPOS)
    for (error, loaded), (arguments, part) in zip(results, TYPOS, strict=True):
        assert part in error, f"{arguments}: {error}"
        assert loaded == [], arguments


def test_help_answers_quickly(tmp_path: Path):
    """Processor time, as a busy machine lengthens the other; importing any command takes more."""
    code = "from elusive.cli.main import cli; cli.main(['--help'], standalone_mode=False)"
    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run_python(code, folder=tmp_path, OPENBLAS_NUM_THREADS="1")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(taken) < 0.3, f"seconds of processor time: {taken}"


def test_the_list_of_commands_says_what_each_commands_help_says():
    from elusive.cli.main import COMMANDS, cli

    assert set(COMMANDS) == set(cli.commands)
    for name, command in cli.commands.items():
        assert command.get_short_help_str(200) == COMMANDS[name]
        assert command.name == name


def test_every_command_shows_an_example_in_its_help():
    from click.testing import CliRunner

    from elusive.cli.main import cli

    assert len(cli.commands) >= 5
    for name in cli.commands:
        result = CliRunner().invoke(cli, [name, "--help"])
        assert result.exit_code == 0, result.output
        lines = [line.strip() for line in result.output.splitlines()]
        assert any(line.startswith(f"elusive {name} ") for line in lines), f"{name} has no example"
