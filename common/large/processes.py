"""Several processes on one machine that share a model: how they start, and what they agree on.

Each process has one GPU, or shares the CPU if there is none. All of them run the same function with
the same arguments, as under torchrun, and compute in step. The first one returns the result.
"""

import io
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, TypeVar

import torch
from torch import distributed

from elusive.common.errors import InputError
from elusive.common.large.devices import Sharing

Result = TypeVar("Result")

POLL_SECONDS = 0.2
GRACE_SECONDS = 1.0
"""Time in which the other processes may report errors, once one has ended."""
LONGEST_WAIT = timedelta(days=7)
"""The processes wait for each other without a limit of their own: if one ends, all are ended."""
PATHS, TASK, RESULT, STEPS = "paths.json", "task.pickle", "result.pickle", "steps"
MODULE = "elusive.common.large.process_main"


@dataclass
class _Own:
    """What this process knows of itself."""

    sharing: Sharing = "none"
    folder: Path | None = None
    group: Any = None
    """Processes that exchange objects; through gloo, as these lie in main memory."""


_own = _Own()


def count_processes() -> int:
    """Return how many processes share models with this one, itself included."""
    return 1 if _own.group is None else distributed.get_world_size()


def is_first() -> bool:
    """Whether this process is the one that writes files."""
    return _own.group is None or distributed.get_rank() == 0


def get_sharing() -> Sharing:
    """Return what each process holds a part of."""
    return _own.sharing


def agree(value: Result) -> Result:
    """Return the first process's value in all processes."""
    if _own.group is None:
        return value
    values = [value]
    distributed.broadcast_object_list(values, src=0, group=_own.group)
    return values[0]


def run_on_first(compute: Callable[[], Result]) -> Result:
    """Let the first process compute something, and return it in all processes."""
    return agree(compute() if is_first() else None)  # type: ignore[return-value]


def find_largest(number: int) -> int:
    """Return the largest of the processes' numbers."""
    if _own.group is None:
        return number
    numbers = [0] * count_processes()
    distributed.all_gather_object(numbers, number, group=_own.group)
    return max(numbers)


def report_step() -> None:
    """Tell the command that started the processes that a step is done."""
    if _own.folder and is_first():
        with (_own.folder / STEPS).open("ab") as file:
            file.write(b".")


def run_in_processes(
    count: int,
    sharing: Sharing,
    function: Callable[..., Result],
    *args: Any,
    on_step: Callable[[], object] = lambda: None,
) -> Result:
    """Run a function in new processes that share models; return what the first one returns.

    Args:
        count: of the processes.
        sharing: what each process holds a part of.
        function: of a module, so that it can be sent to the processes, like its arguments.
        args: of the function.
        on_step: called for each `report_step` of the first process; an error ends the processes.

    Raises:
        InputError: there are GPUs, but fewer than processes; or a process raised it.
        RuntimeError: a process was killed, or raised something else.
    """
    num_gpus = torch.cuda.device_count()
    if 0 < num_gpus < count:
        raise InputError(
            f"processes {count} need a GPU each, but this machine has {num_gpus}: lower "
            "resources.processes, or use a machine with more"
        )
    with TemporaryDirectory(prefix="elusive-processes-") as name:
        folder = Path(name)
        (folder / PATHS).write_text(json.dumps(sys.path), encoding="utf-8")
        (folder / TASK).write_bytes(pickle.dumps((sharing, function, args)))
        (folder / STEPS).touch()
        processes = [_start(folder, rank, count) for rank in range(count)]
        try:
            _wait(folder, processes, on_step)
            return pickle.loads((folder / RESULT).read_bytes())
        finally:
            for process in processes:
                process.kill()
                process.wait()
                assert process.stdin
                process.stdin.close()


def _start(folder: Path, rank: int, count: int) -> "subprocess.Popen[bytes]":
    """Start a process, which ends when the pipe to it closes, so it never outlives this one."""
    variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    # The rendezvous is a file; some libraries only look whether these are set.
    variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 0}
    if rank:
        variables["TQDM_DISABLE"] = 1
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    with (folder / f"log-{rank}").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", MODULE, str(folder)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log if rank else None,
        )


def _wait(
    folder: Path, processes: "list[subprocess.Popen[bytes]]", on_step: Callable[[], object]
) -> None:
    """Wait until all processes have ended.

    Raises:
        Exception: what the first process that failed raised.
    """
    steps = 0
    while True:
        codes = [process.poll() for process in processes]
        done = (folder / STEPS).stat().st_size
        for _ in range(done - steps):
            on_step()
        steps = done
        if any(codes):
            killed = [rank for rank, code in enumerate(codes) if code and code < 0]
            time.sleep(0.0 if killed else GRACE_SECONDS)
            raise _find_cause(folder, killed, [process.poll() for process in processes])
        if all(code == 0 for code in codes):
            return
        time.sleep(POLL_SECONDS)


def _find_cause(folder: Path, killed: list[int], codes: list[int | None]) -> Exception:
    """Find why processes ended: the first error, as those of the others follow from it."""
    killed = killed or [rank for rank, code in enumerate(codes) if code and code < 0]
    paths = sorted(folder.glob("error-*"), key=lambda path: path.stat().st_mtime_ns)
    if paths and not killed:
        error, details = pickle.loads(paths[0].read_bytes())
        error.add_note(details)
        return error
    rank = killed[0] if killed else next(rank for rank, code in enumerate(codes) if code)
    lines = (folder / f"log-{rank}").read_text(errors="replace").strip().splitlines()
    error = RuntimeError(
        f"process {rank + 1} of {len(codes)} ended with code {codes[rank]}; code -9 often means "
        "too little memory"
    )
    error.add_note("\n".join(lines[-20:]))
    return error


def work(folder: Path) -> None:
    """Run the task of a folder as one of the processes, and write its result or its error."""
    Thread(target=_end_with_parent, daemon=True).start()
    sys.path[:] = json.loads((folder / PATHS).read_text(encoding="utf-8"))
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    try:
        _join(folder, rank, count)
        _own.sharing, function, args = pickle.loads((folder / TASK).read_bytes())
        result = function(*args)
        if is_first():
            (folder / RESULT).write_bytes(pickle.dumps(result))
        distributed.barrier(group=_own.group)
        distributed.destroy_process_group()
    except BaseException as error:
        _write_error(folder / f"error-{rank}", error)
        os._exit(1)  # others may still wait for this process


def _join(folder: Path, rank: int, count: int) -> None:
    has_gpus = torch.cuda.is_available()
    if has_gpus:
        torch.cuda.set_device(rank)
    distributed.init_process_group(
        "nccl" if has_gpus else "gloo",
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=count,
        timeout=LONGEST_WAIT,
    )
    _own.group = distributed.new_group(backend="gloo", timeout=LONGEST_WAIT)
    _own.folder = folder


def _end_with_parent() -> None:
    """End this process when the one that started it has ended, however that happened."""
    os.read(0, 1)  # the standard input is the pipe to it
    os._exit(1)


def _write_error(path: Path, error: BaseException) -> None:
    import traceback

    details = traceback.format_exc()
    draft = path.with_name(f".{path.name}")
    draft.write_bytes(_pickle_error(error, details))
    draft.replace(path)


def _pickle_error(error: BaseException, details: str) -> bytes:
    """Pickle an error, or one with the same text if it cannot be pickled and read again."""
    try:
        content = pickle.dumps((error, details))
        pickle.load(io.BytesIO(content))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
        content = pickle.dumps((error, details))
    return content
