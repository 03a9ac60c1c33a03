"""Column sums of a model whose heads two processes share, against those of one process.

torchrun --nproc-per-node 2 tests/gpu/two_process_scoring.py

Each process keeps its own heads of every layer (tensor parallelism by transformers), so the sums
are gathered before heads are averaged. This needs a device per process: without two GPUs, hide them
with CUDA_VISIBLE_DEVICES= and the processes compute on the CPU, through gloo.
"""

import os
import sys
import tempfile
from pathlib import Path

import torch
from torch import distributed
from transformers import AutoModelForCausalLM, DistributedConfig, PreTrainedModel

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from tiny import VOCABULARY, tiny_model

from elusive.augment.scores.column_sums import compute_attention_received

TOLERANCE = 1e-4


def gather_heads(received: torch.Tensor) -> torch.Tensor:
    """Put the heads of all processes together.  # (layer, head, batch, token)."""
    parts = [torch.empty_like(received) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, received.contiguous())
    return torch.cat(parts, dim=1)


def load_shared(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Load a model whose heads the processes share; the first process saves it."""
    if distributed.get_rank() == 0:
        model.save_pretrained(folder)
    distributed.barrier()
    config = DistributedConfig(tp_size=distributed.get_world_size())
    shared = AutoModelForCausalLM.from_pretrained(
        folder, distributed_config=config, dtype=torch.float32
    )
    return shared.eval()


def main() -> None:
    distributed.init_process_group("nccl" if torch.cuda.device_count() > 1 else "gloo")
    rank = int(os.environ["RANK"])
    folder = Path(tempfile.gettempdir()) / f"two-processes-{os.environ['MASTER_PORT']}"
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(2, VOCABULARY, (3, 300), generator=generator)
    mask = (torch.arange(300)[None, :] < torch.tensor([300, 190, 33])[:, None]).long()
    largest = 0.0
    for name in ("llama", "qwen2"):
        whole = tiny_model(name)
        shared = load_shared(whole, folder / name)
        for fused in (False, True):
            expected = compute_attention_received(whole, ids, mask, fused=fused)
            inputs = (ids.to(shared.device), mask.to(shared.device))
            own = compute_attention_received(shared, *inputs, fused=fused)
            received = gather_heads(own).to(expected.device)
            assert own.shape[1] * distributed.get_world_size() == expected.shape[1]
            assert (received.isnan() == expected.isnan()).all()
            difference = float((received - expected).nan_to_num().abs().max())
            largest = max(largest, difference)
            if rank == 0:
                way = "gradient of fused attention" if fused else "blocks"
                print(f"{name}, {way}: {own.shape[1]} heads a process, difference {difference:.1e}")
    distributed.destroy_process_group()
    if largest > TOLERANCE:
        raise SystemExit(f"the largest difference is {largest:.1e}, more than {TOLERANCE}")


if __name__ == "__main__":
    main()
