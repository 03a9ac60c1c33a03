"""What went wrong when a library loaded a model: weights that do not fit, files that are broken."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open

from elusive.common.errors import InputError
from elusive.common.folders import find_full_disk_error

NOT_READ = re.compile(
    r"rotary_emb\.inv_freq$|(^|\.)position_ids$"
    r"|\.(attn|attention|self_attention)\.(bias|masked_bias)$"
    r"|(^|\.)(vision_\w+|visual|audio_\w+|multi_modal_projector|mtp|v_head)\."
)
"""Tensors that no logits of a text depend on: buffers which are computed today, masks of old GPTs,
what reads images and sounds, what predicts several tokens at once, and heads that give rewards."""
LONGEST_REASON = 240
"""Characters of a library's message that are shown."""


@contextmanager
def explain_failures(what: str, hint: str = "") -> Iterator[None]:
    """Turn whatever a library raises while it loads files into one line.

    Libraries raise nearly every type of error for broken files and configs, so all are caught:
    nothing but calls of libraries belongs into the block.

    Args:
        what: what fails, such as `cannot load model 'x'`.
        hint: what to do about it.

    Raises:
        InputError: anything failed, except that memory or disk did not suffice.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        if find_full_disk_error(error):
            raise
        raise InputError(f"{what}: {summarize_error(error)}{hint and f': {hint}'}") from None


def summarize_error(error: Exception) -> str:
    """Summarize an error in one short line; its type is named where the message says too little.

    >>> summarize_error(KeyError("llama9"))
    "KeyError: 'llama9'"
    >>> summarize_error(ValueError("Unrecognized model.\\nIt should be one of: ..."))
    'Unrecognized model'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = lines[0] if lines else ""
    if line.endswith(":") and len(lines) > 1:
        line = f"{line} {lines[1]}"
    if len(line) > LONGEST_REASON:
        line = f"{line[:LONGEST_REASON]}..."
    if " " in line and isinstance(error, (OSError, ValueError, RuntimeError, ImportError)):
        return line.removesuffix(".")
    name = type(error).__name__
    return f"{name}: {line}" if line else name


def check_weight_files(reference: str, paths: Iterable[Path]) -> None:
    """Check that weight files in the format safetensors are complete; only their headers are read.

    Raises:
        InputError: a file was cut off, or is none.
    """
    for path in paths:
        if path.suffix == ".safetensors":
            what = f"{path.name} of model {reference!r} is broken"
            with explain_failures(what, "copy or download it again"), safe_open(path, "pt"):
                pass


def check_loading_report(reference: str, report: Mapping[str, Any]) -> None:
    """Check that a model's weight files contain exactly the weights that its config describes.

    Weights that are missing would be random, so that every run would give other results.

    Args:
        reference: the model, as the user wrote it.
        report: of `from_pretrained(..., output_loading_info=True, ignore_mismatched_sizes=True)`:
            `missing_keys`, `unexpected_keys`, and `mismatched_keys` with both shapes. Tied weights
            and what the architecture lists as ignorable are not in it.

    Raises:
        InputError: weights are missing, have other shapes, or are not used.
    """
    mismatched = [
        f"{name} is {_render_shape(got)} instead of {_render_shape(wanted)}"
        for name, got, wanted in sorted(report["mismatched_keys"])
    ]
    unused = sorted(name for name in report["unexpected_keys"] if not NOT_READ.search(name))
    problems = {
        "the weight files lack": sorted(report["missing_keys"]),
        "the weight files do not fit config.json:": mismatched,
        "config.json does not use": unused,
    }
    parts = [f"{what} {_shorten(names)}" for what, names in problems.items() if names]
    if parts:
        raise InputError(
            f"cannot load model {reference!r}: {'; '.join(parts)}: use config.json and weight "
            "files of the same model, all of them"
        )


def _render_shape(shape: Any) -> str:
    return " x ".join(map(str, shape))


def _shorten(names: list[str]) -> str:
    """List the first name, and count the others."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


@contextmanager
def silence_loading_report() -> Iterator[None]:
    """Keep transformers from printing its table of weights that do not fit, which we summarize."""
    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(_is_no_report)
    try:
        yield
    finally:
        logger.removeFilter(_is_no_report)


def _is_no_report(record: logging.LogRecord) -> bool:
    return "LOAD REPORT" not in record.getMessage()
