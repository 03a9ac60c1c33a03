"""Check that a model predicts each token from the tokens before it alone."""

from elusive.common.errors import InputError
from elusive.common.lm.loaded_model import LoadedModel
from elusive.common.probe.finding import (
    Finding,
    Way,
    choose_tolerance,
    compare,
    find_way,
    keep_finding,
)
from elusive.common.probe.texts import build_probe_texts, read_logits


def check_causality(loaded: LoadedModel) -> None:
    """Check that no logit depends on a later token.

    Raises:
        InputError: the model looks ahead, or its logits are not numbers.
    """
    finding = keep_finding(loaded, "causality", lambda: probe_causality(loaded))
    if finding.way is None and "nan" in finding.describe_failures():
        raise InputError(
            f"model {loaded.source.reference!r} computes NaN or infinity in place of logits: its "
            "weights are broken, or too large for their precision: copy it again, or choose "
            "another precision"
        )
    if finding.way is None:
        raise InputError(
            f"model {loaded.source.reference!r} is no decoder "
            f"({finding.describe_failures()} when a later token changes): choose a causal language "
            f"model instead of architecture {loaded.model.config.model_type!r}"
        )


def probe_causality(loaded: LoadedModel) -> Finding:
    """Probe whether the logits before the last token stay as they are when it changes."""
    (text,) = build_probe_texts(loaded.tokenizer, [24])

    def measure() -> float:
        other = [*text[:-1], text[0] if text[0] != text[-1] else text[1]]
        plain, changed = (read_logits(loaded.model, ids)[:-1] for ids in (text, other))
        return compare(changed, plain) if plain.isfinite().all() else float("nan")

    return find_way([Way("causal", measure)], choose_tolerance(loaded))
