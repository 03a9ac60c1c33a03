"""Probes: what a model can do, found by trying each way and comparing it with plain reading.

Whether a model can be batched, packed or read from inside depends on its code, its config and the
version of transformers. So nothing is assumed by name: the first way that gives what plain reading
gives is used, and a model for which none does is refused. Plain reading is one text at a time,
without padding, masks or caches.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from transformers import PreTrainedModel
from transformers.utils import logging

from elusive.common.cache import prepare_cache_folder
from elusive.common.folders import hash_parameters, write_atomically
from elusive.common.large.placement import is_spread
from elusive.common.large.processes import agree, count_processes, is_first
from elusive.common.lm.loaded_model import LoadedModel, get_attention, is_quantized
from elusive.common.lm.references import hash_source_settings

VERSION = 2
"""To be raised when a probe changes what it tries."""
TOLERANCE = 1e-4
"""Largest difference that rounding causes in float32, in standard deviations."""
LOW_PRECISION_TOLERANCE = 0.25
"""The same in fewer bits; reading what should be hidden changes a real model's logits by more."""
MOST_WEIGHTS = 4_000_000_000
"""Weights up to which a model is probed in float32 (16 GB), whatever precision it is loaded in."""


@dataclass(frozen=True)
class Way:
    """One way to compute something."""

    name: str
    measure: Callable[[], float]
    """Computes the difference from plain reading, in standard deviations."""


@dataclass(frozen=True)
class Finding:
    """Which way a model allows."""

    way: str | None
    """The first way that gives what plain reading gives; None if there is none."""
    difference: float | None = None
    """Its difference from plain reading, in standard deviations."""
    failures: dict[str, str] = field(default_factory=dict)
    """Why each earlier way does not work."""

    def describe_failures(self) -> str:
        """Describe in one line why ways do not work."""
        return "; ".join(f"{way}: {reason}" for way, reason in self.failures.items())


def find_way(ways: list[Way], tolerance: float) -> Finding:
    """Find the first way whose difference is within the tolerance.

    A way that raises does not work, whatever it raises: models fail in their own manner when they
    get inputs that they do not expect. Only a lack of memory says nothing about a way.

    Raises:
        RuntimeError: memory does not suffice.
    """
    failures: dict[str, str] = {}
    for way in ways:
        try:
            with torch.no_grad():
                difference = way.measure()
        except Exception as error:
            if should_reduce_batch_size(error):
                raise
            lines = str(error).strip().splitlines() or [""]
            failures[way.name] = f"{type(error).__name__}: {lines[0][:120]}"
            continue
        if difference <= tolerance:  # False for NaN
            return Finding(way.name, difference, failures)
        failures[way.name] = f"differs by {difference:.2g} standard deviations"
    return Finding(None, None, failures)


def choose_tolerance(loaded: LoadedModel) -> float:
    """Return the difference that rounding may cause in a model's precision."""
    is_whole = loaded.model.dtype == torch.float32 and not is_quantized(loaded.model)
    return TOLERANCE if is_whole else LOW_PRECISION_TOLERANCE


@contextmanager
def compute_in_float32(model: PreTrainedModel) -> Iterator[None]:
    """Cast a model's weights to float32 for a block, and back, which changes none of them.

    Models that are quantized, spread over devices or shared by processes, and those of more than
    `MOST_WEIGHTS` weights are left as they are.
    """
    tensors = [*model.parameters(), *model.buffers()]
    low = [(tensor, tensor.dtype) for tensor in tensors if tensor.is_floating_point()]
    is_fixed = is_quantized(model) or is_spread(model)
    if is_fixed or sum(tensor.numel() for tensor in tensors) > MOST_WEIGHTS:
        low = []
    try:
        for tensor, _ in low:
            tensor.data = tensor.data.float()
        yield
    finally:
        for tensor, dtype in low:
            tensor.data = tensor.data.to(dtype)


def keep_finding(loaded: LoadedModel, topic: str, probe: Callable[[], Finding]) -> Finding:
    """Return what a probe found, which is stored in the cache folder for the same model.

    Args:
        loaded: the model.
        topic: what is probed, as a part of the key.
        probe: finds it if it is not stored.
    """
    path = prepare_cache_folder() / "probes" / f"{_compute_key(loaded, topic)}.json"
    stored = path.read_text(encoding="utf-8") if is_first() and path.exists() else None
    if stored := agree(stored):  # processes that share a model probe together or not at all
        return Finding(**json.loads(stored))
    was_training, verbosity = loaded.model.training, logging.get_verbosity()
    loaded.model.eval()
    logging.set_verbosity_error()  # what a model says about ways that it does not allow
    try:
        finding = _probe_in_float32(loaded, probe)
    finally:
        loaded.model.train(was_training)
        logging.set_verbosity(verbosity)
    if is_first():
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps(asdict(finding)))
    return finding


def _probe_in_float32(loaded: LoadedModel, probe: Callable[[], Finding]) -> Finding:
    """Probe in float32, or in the model's own precision if memory does not suffice."""
    try:
        with compute_in_float32(loaded.model):
            return probe()
    except RuntimeError as error:
        is_lost = loaded.model.dtype == torch.float32 or count_processes() > 1
        if is_lost or not should_reduce_batch_size(error):
            raise
    clear_device_cache(garbage_collection=True)  # outside the handler, which holds the tensors
    return probe()


def _compute_key(loaded: LoadedModel, topic: str) -> str:
    model = loaded.model
    quantization = getattr(model.config, "quantization_config", None)
    spread = {"spread": True} if is_spread(model) else {}  # it is not probed in float32
    return hash_parameters(
        spread
        | {
            "topic": topic,
            "version": VERSION,
            "weights": loaded.weights_hash,
            "settings": hash_source_settings(loaded.source),
            "class": type(model).__name__,
            "attention": get_attention(model),
            "precision": str(model.dtype),
            "quantization": str(quantization),
            "device": model.device.type,
            "versions": {name: version(name) for name in ("torch", "transformers")},
        }
    )[:32]


def compare(values: torch.Tensor, plain: torch.Tensor) -> float:
    """Compute the largest root mean square difference of rows, in standard deviations of `plain`.

    Args:
        values: what a way gives.  # (..., number)
        plain: what plain reading gives.  # (..., number)

    Returns:
        The difference; infinity where one of the two is a number and the other is not.
    """
    values, plain = values.double().cpu(), plain.double().cpu()
    if values.shape != plain.shape or not torch.equal(values.isnan(), plain.isnan()):
        return float("inf")
    known = plain[~plain.isnan()]
    rows = (values - plain).nan_to_num(0.0, torch.inf, torch.inf).square().mean(-1).sqrt()
    return float(rows.max() / known.std().clamp(min=1e-12))
