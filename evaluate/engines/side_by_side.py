"""How many cells of a plan this machine makes at the same time, found without PyTorch."""

import multiprocessing
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path

from elusive.biogen.config import BiogenConfig
from elusive.common.dataset.folder import DatasetFolder
from elusive.common.lm.references import choose_threads, measure_weights
from elusive.common.process.capacity import count_cores, has_gpu, measure_free_memory_gib
from elusive.common.text.counts import format_count
from elusive.evaluate.cells.cell import count_steps
from elusive.evaluate.jobs import Job, list_jobs
from elusive.evaluate.plans import Plan, Source

LIBRARIES_GIB = 0.7
"""Memory of a process that has loaded PyTorch and transformers."""
BYTES_PER_WEIGHT_BYTE = {".gguf": 12, ".safetensors": 4, ".bin": 4}
"""Memory of training an adapter per byte of a file of weights, activations included, roughly; GGUF
files are compressed."""
FULL_TRAINING = 3
"""How much more training all weights takes: also their gradients and two moments of AdamW."""
TOKENS_PER_TEXT = 120
SECONDS_PER_TOKEN_BYTE = 2e-11
"""Seconds of training on one core per token and byte of float32 weights, roughly."""
LEAST_SECONDS = 20.0
"""Work below which another process costs more than it gains, as starting it takes some seconds."""
PRELOADED = ["elusive.evaluate.run_folder"]


@dataclass(frozen=True)
class Load:
    """What the cells of a plan ask of a machine."""

    cells: int
    threads: int
    """Of a cell."""
    seconds: float
    """Of all cells together on one core, roughly."""
    memory_gib: float
    """Of one process, roughly."""


@dataclass(frozen=True)
class Machine:
    """What a machine has to offer."""

    cores: int
    free_gib: float | None
    """Free memory; None if it is not known."""
    has_gpu: bool = False


def look_at_machine() -> Machine:
    """Look at what this machine offers to this process."""
    return Machine(count_cores(), measure_free_memory_gib(), has_gpu())


def choose_processes(load: Load, machine: Machine) -> int:
    """Choose the number of processes: as many as cores, memory and work allow, at least 1.

    One process where there is a GPU, which the cells would have to share.
    """
    if machine.has_gpu:
        return 1
    limits = [load.cells, machine.cores // load.threads, int(load.seconds / LEAST_SECONDS)]
    if machine.free_gib is not None:
        limits.append(int(machine.free_gib / load.memory_gib))
    return max(1, min(limits))


def render_choice(load: Load, machine: Machine, processes: int) -> str:
    """Render a number of processes and its reasons as one line."""
    cells, threads = format_count(processes, "cell"), format_count(load.threads, "thread")
    free = "" if machine.free_gib is None else f", {machine.free_gib:.1f} GiB free"
    return (
        f"{cells} at a time, {threads} each ({format_count(machine.cores, 'core')}{free}, about "
        f"{load.memory_gib:.1f} GiB a cell): --jobs N changes it"
    )


def measure_load(plan: Plan) -> Load:
    """Estimate what a plan asks of this machine, from the sizes of its models and datasets.

    Raises:
        InputError: a model or a dataset of the plan is missing.
    """
    jobs = list_jobs(plan)
    trials = plan.sweep.num_trials * len(plan.sweep.seeds) if plan.sweep else 1
    texts = {name: _count_texts(source) for name, source in plan.sources.items()}
    weights = {model: sum(measure_weights(model).values()) for model in plan.trained}
    seconds = sum(
        _count_tokens(job, texts[job.dataset]) * weights[job.model] * SECONDS_PER_TOKEN_BYTE
        for job in jobs
    )
    return Load(
        cells=len(jobs) * trials,
        threads=plan.threads or max(map(choose_threads, plan.trained)),
        seconds=seconds * trials,
        memory_gib=max(_estimate_memory_gib(plan, model) for model in plan.trained),
    )


def _count_texts(source: Source) -> int:
    if isinstance(source, BiogenConfig):
        return source.people * source.documents_per_person
    return DatasetFolder(source).count_documents()


def _count_tokens(job: Job, texts: int) -> int:
    """Count the tokens of a cell's training, roughly."""
    if job.arm is None:
        return 0
    training = job.settings.training
    steps = count_steps(texts * (1 + job.arm.copies), training)
    return steps * training.batch_size * TOKENS_PER_TEXT


def _estimate_memory_gib(plan: Plan, model: str) -> float:
    sizes = measure_weights(model)
    weights = sum(size * BYTES_PER_WEIGHT_BYTE[suffix] for suffix, size in sizes.items())
    factor = FULL_TRAINING if plan.training.tuning == "full" else 1
    return LIBRARIES_GIB + weights * factor / 2**30


def sort_longest_first(jobs: list[Job], count_steps: Callable[[Job], int]) -> list[Job]:
    """Sort cells by the time that they take, the longest first, so that all processes end together.

    Args:
        jobs: in the order of the plan, which cells of the same length keep.
        count_steps: returns the steps of a cell's training.
    """
    sizes = {model: sum(measure_weights(model).values()) for model in {job.model for job in jobs}}
    return sorted(jobs, key=lambda job: -count_steps(job) * sizes[job.model])


def get_context() -> ForkServerContext | SpawnContext:
    """Return how processes are started: forked from one that has imported everything already.

    Where there is a GPU, each imports everything itself: bitsandbytes opens the GPU as soon as it
    is imported, and CUDA cannot be used in a fork of a process that has opened it.
    """
    if has_gpu() or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def start_importing() -> None:
    """Let the process that others are forked from import everything, while this one goes on.

    Ctrl-C, which reaches it as well, does not end its imports: it ends with this process.
    """
    if get_context().get_start_method() != "forkserver":
        return
    resource_tracker.ensure_running()  # would let Ctrl-C through again if it started later
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def is_there(plan: Plan, out: Path) -> bool:
    """Whether a run has as many cells as its plan asks for, so that few or none are to be made."""
    return len(list(out.glob("cells/[!.]*"))) >= len(list_jobs(plan))
