"""Everything that is probed of a model, as a table."""

from rich.table import Table

from elusive.augment.scores.attention_probe import probe_attention
from elusive.common.lm.loaded_model import LoadedModel
from elusive.common.lm.tokenizer_checks import check_tokenizer
from elusive.common.probe.causality import probe_causality
from elusive.common.probe.finding import Finding, keep_finding
from elusive.common.probe.packing import probe_masks, probe_packing
from elusive.common.probe.padding import probe_padding
from elusive.common.probe.texts import find_untested_window
from elusive.evaluate.answering.batching_probe import ALONE, WAYS, probe_batching
from elusive.evaluate.training.adapter_probe import probe_adapter
from elusive.evaluate.training.lora_targets import find_lora_targets

PROBES = {
    "causality": ("predicts from earlier tokens", probe_causality),
    "padding": ("texts of a batch", probe_padding),
    "attention": ("attention received", probe_attention),
    "packing": ("sequences of a training row", probe_packing),
    "masks": ("attention dropped by a mask", probe_masks),
    "batching": ("questions of a batch", probe_batching),
}
"""What each topic is called in the table, and its probe."""
ADAPTER = "adapter"
ADAPTER_TITLE = "LoRA adapter"


def probe_model(loaded: LoadedModel) -> dict[str, Finding]:
    """Probe a model in every respect; nothing else is tried if it looks ahead.

    Returns:
        What was found, by topic.
    """
    findings: dict[str, Finding] = {}
    for topic, (_, probe) in PROBES.items():
        findings[topic] = keep_finding(loaded, topic, lambda probe=probe: probe(loaded))
        if topic == "causality" and findings[topic].way is None:
            return findings
    way = findings["batching"].way
    batching = next((batching for batching in WAYS if batching.name == way), ALONE)
    findings[ADAPTER] = keep_finding(loaded, ADAPTER, lambda: probe_adapter(loaded, batching))
    return findings


def build_probe_table(loaded: LoadedModel, findings: dict[str, Finding]) -> Table:
    """Build the table of what was found."""
    table = Table(title=f"{loaded.source.reference} ({loaded.model.config.model_type})")
    for name in ("what", "how", "difference", "what does not work"):
        table.add_column(name, justify="right" if name == "difference" else "left")
    for topic, finding in findings.items():
        title = ADAPTER_TITLE if topic == ADAPTER else PROBES[topic][0]
        difference = "" if finding.difference is None else f"{finding.difference:.1e}"
        table.add_row(title, finding.way or "refused", difference, finding.describe_failures())
    return table


def describe_limits(loaded: LoadedModel) -> list[str]:
    """Describe what is wrong with the tokenizer, and what probes did not reach, one line each."""
    embedding = loaded.model.get_input_embeddings()
    lines = check_tokenizer(loaded.tokenizer, int(embedding.weight.shape[0]))  # type: ignore[index, union-attr]
    window = find_untested_window(loaded.model)
    if window:
        lines.append(
            f"a window or chunk of {window} tokens was not read past: longer texts are trained on, "
            "and longer prompts are asked, one at a time"
        )
    left_out = find_lora_targets(loaded.model, ()).left_out
    if left_out:
        lines.append(f"a LoRA adapter leaves out {', '.join(left_out)}")
    return lines
