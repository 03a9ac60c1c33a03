"""What a model gets to compute with; read without PyTorch."""

from dataclasses import dataclass
from typing import Literal

Placement = Literal["one", "auto"]
"""`one`: on the first GPU, or in main memory if there is none. `auto`: layer by layer on all GPUs,
and what these do not hold in main memory, then on disk."""
Sharing = Literal["none", "weights", "heads"]
"""What each of several processes holds a part of: nothing; every weight (FSDP), put together layer
by layer; or the attention heads and channels of every layer (tensor parallelism)."""


@dataclass(frozen=True)
class Devices:
    """What a model gets to compute with; it decides nothing but rounding."""

    placement: Placement = "one"
    processes: int = 1
    """Number of processes that share it, each with a GPU of its own if there are any."""
    memory_gib: float | None = None
    """Main memory that weights may take if the placement is `auto`; all that is free if None."""

    @property
    def is_large(self) -> bool:
        """Whether the model needs more than one device."""
        return self.placement != "one" or self.processes > 1


ONE = Devices()
