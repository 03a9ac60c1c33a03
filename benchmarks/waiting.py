"""How long waiting threads should spin: layers on two threads, alone and beside busy programs.

Every spin count has a process of its own, as libgomp reads it once. The processes take turns, so
that a busy machine slows all of them alike.

python benchmarks/waiting.py --rounds 7 --beside 0 --beside 1
"""

import multiprocessing
import os
import time
from multiprocessing.connection import Connection

import click
import numpy as np


def compute_on_request(pipe: Connection, spin: int | None, threads: int, width: int) -> None:
    """Time the layers of a small model's step whenever the pipe asks for it."""
    if spin is not None:
        os.environ["GOMP_SPINCOUNT"] = str(spin)
    import torch

    torch.set_num_threads(threads)
    tokens, weight = torch.randn(1000, width), torch.randn(width, width) / width**0.5
    while count := pipe.recv():
        start, processor = time.perf_counter(), time.process_time()
        for _ in range(count):
            tokens = torch.nn.functional.silu(tokens @ weight).mul(1.5).add(0.1)
        pipe.send((time.perf_counter() - start, time.process_time() - processor))


def keep_busy() -> None:
    """Compute for ever."""
    while True:
        sum(range(1000))


def measure(pipes: dict[str, Connection], rounds: int, layers: int) -> dict[str, np.ndarray]:
    """Return milliseconds of wall and processor per layer of each setting.  # each (round, 2)"""
    times: dict[str, list] = {name: [] for name in pipes}
    for _ in range(rounds):
        for name, pipe in pipes.items():
            pipe.send(layers)
            times[name].append(pipe.recv())
    return {name: 1000 * np.array(pairs) / layers for name, pairs in times.items()}


@click.command()
@click.option("--width", default=256, help="Of the layers; nano-large has 256, SmolLM2-135M 576.")
@click.option("--layers", default=200, help="In each round.")
@click.option("--rounds", default=7)
@click.option("--spin", "spins", multiple=True, default=(0, 1000, 10_000, 100_000))
@click.option("--beside", "besides", multiple=True, default=(0, 1), help="Busy programs beside.")
def main(
    width: int, layers: int, rounds: int, spins: tuple[int, ...], besides: tuple[int, ...]
) -> None:
    context = multiprocessing.get_context("spawn")
    settings = {"one thread": (None, 1), "libgomp's own": (None, 2)}
    settings |= {f"{spin:,}": (spin, 2) for spin in spins}
    pipes = {}
    for name, (spin, threads) in settings.items():
        pipes[name], end = context.Pipe()
        arguments = (end, spin, threads, width)
        context.Process(target=compute_on_request, args=arguments, daemon=True).start()
    measure(pipes, 1, layers)
    for beside in besides:
        busy = [context.Process(target=keep_busy, daemon=True) for _ in range(beside)]
        for process in busy:
            process.start()
        times = measure(pipes, rounds, layers)
        for process in busy:
            process.kill()
        base = times["one thread"][:, 0]
        for name, pairs in times.items():
            wall, processor = np.median(pairs, axis=0)
            click.echo(
                f"{beside} busy beside, {name}: {wall:.2f} ms a layer, "
                f"{np.median(pairs[:, 0] / base):.2f} of one thread's; {processor:.2f} ms of "
                "processor"
            )
    for pipe in pipes.values():
        pipe.send(0)


if __name__ == "__main__":
    main()
