"""Attention received, against full attention maps: seconds and memory by the length of the text.

Every measurement runs in a process of its own. Memory is the highest resident memory during the
call, minus what was resident before it.

python benchmarks/attention.py --model smollm2-135m
"""

import multiprocessing
import os
import time

import click
import torch

from elusive.augment.scores.column_sums import compute_attention_received
from elusive.common.lm.loading import load_model

WAYS = ("maps", "blocks", "gradient", "forward with logits")
LARGEST_MAPS = 2048
"""Largest number of tokens whose full maps fit into memory."""


def read_text(way: str, model, ids: torch.Tensor) -> None:
    """Read one text in one way."""
    mask = torch.ones_like(ids)
    if way in ("blocks", "gradient"):
        compute_attention_received(model, ids, mask, fused=way == "gradient")
        return
    model.set_attn_implementation("eager" if way == "maps" else "sdpa")
    with torch.inference_mode():
        if way == "forward with logits":
            model(input_ids=ids, use_cache=False)
            return
        maps = model(input_ids=ids, output_attentions=True, use_cache=False).attentions
        weights = torch.stack(maps).float().mean((0, 1, 2)).tril(-1)  # (query, key)
        _ = weights.sum(0) / torch.arange(ids.shape[1] - 1, -1, -1).clamp(min=1)


def read_memory(field: str) -> float:
    """Read a field of this process's memory status, in MiB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1024


def measure(way: str, reference: str, length: int, repeat: int, queue) -> None:
    """Put median seconds, and the extra memory of the first call, into the queue."""
    model = load_model(reference).model
    ids = torch.randint(5, 4000, (1, length), generator=torch.Generator().manual_seed(0))
    read_text(way, model, ids[:, :16])
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")
    before, seconds = read_memory("VmRSS"), []
    for number in range(repeat):
        start = time.perf_counter()
        read_text(way, model, ids)
        seconds.append(time.perf_counter() - start)
        if number == 0:
            extra = read_memory("VmHWM") - before
    queue.put((sorted(seconds)[repeat // 2], extra))


@click.command()
@click.option("--model", default="smollm2-135m")
@click.option("--lengths", default="128,256,512,1024,2048,4096,8192")
@click.option("--repeat", default=3)
def main(model: str, lengths: str, repeat: int) -> None:
    click.echo("tokens | " + " | ".join(f"{way}: s, MiB" for way in WAYS))
    context = multiprocessing.get_context("spawn")
    for length in map(int, lengths.split(",")):
        cells = []
        for way in WAYS:
            if way == "maps" and length > LARGEST_MAPS:
                cells.append("-")
                continue
            queue = context.SimpleQueue()
            process = context.Process(target=measure, args=(way, model, length, repeat, queue))
            process.start()
            process.join()
            seconds, extra = queue.get() if not process.exitcode else (float("nan"), float("nan"))
            cells.append(f"{seconds:.2f}, {extra:.0f}")
        click.echo(f"{length} | " + " | ".join(cells))


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
