"""Probe every text decoder that the installed transformers offers, as a tiny random model.

Each architecture is built from its own config with small numbers, windows and chunks of 12 tokens
included, and weights large enough that attention is not uniform. It is then probed as `elusive
probe` probes a model, in a process of its own. An architecture whose config cannot be made small
in this generic way is listed as not built.

python benchmarks/architectures.py --out /tmp/architectures.md
python benchmarks/architectures.py llama gpt_neo bert
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import torch
from tqdm import tqdm
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from elusive.common.lm.loaded_model import LoadedModel
from elusive.common.lm.loading import load_tokenizer
from elusive.common.lm.references import find_model
from elusive.common.probe.finding import Finding
from elusive.common.probe.texts import read_logits
from elusive.evaluate.answering.batching_probe import ALONE, WAYS
from elusive.evaluate.engines.side_by_side import get_context
from elusive.evaluate.probe_model import ADAPTER, PROBES
from elusive.evaluate.training.adapter_probe import probe_adapter
from elusive.evaluate.training.lora_targets import find_lora_targets

TOKENIZER = "nano-large"
SECONDS = 240
"""Time that an architecture may take."""
SMALL = {
    r"vocab_size|unpadded_vocab_size|vocab_size_per_layer_input": 4096,
    r"hidden_size|n_embd|d_model|embed_dim|word_embed_proj_dim|embedding_size|embedding_dim"
    r"|input_embedding_size|output_embedding_size|emb_dim|attention_hidden_size": 32,
    r".*intermediate_size.*|.*ffn_dim|n_inner|d_ff|dff|dim_ff|d_inner|.*ffn_hidden_size"
    r"|feed_forward_size": 48,
    r"num_hidden_layers|n_layers?|num_layers|.*coder_layers|num_blocks": 4,
    r"num_attention_heads|n_heads?|num_heads|attention_heads|.*coder_attention_heads"
    r"|swa_num_attention_heads|index_n_heads|linear_num_(key|value)_heads|linear_num_heads": 4,
    r"(swa_)?num_key_value_heads|num_kv_heads": 2,
    r"(swa_)?head_dim|kv_channels|v_head_dim|qk_(nope|rope)_head_dim|attention_head_dim|dim_head"
    r"|d_head|attention_head_size|index_head_dim|linear_(key_|value_)?head_dim|rotary_dim": 8,
    r"qk_head_dim": 16,
    r"(q|kv|o)_lora_rank|laurel_rank|.*lowrank": 16,
    r"(moe_)?num_experts|n_routed_experts|num_local_experts": 4,
    r"mamba_n_heads|mamba_num_heads|mamba_d_head|mamba_head_?dim": 8,
    r"num_experts_per_tok(en)?|top_k_experts|moe_k|moe_top_?k": 2,
    r"n_group|topk_group|n_shared_experts|first_k_dense_replace": 1,
    r"(attention_)?window_size|sliding_window(_size)?|attention_(window|chunk)_size"
    r"|local_attention|local_attention_window_len|chunk_size|mamba_chunk_size": 12,
    r"hidden_size_per_layer_input": 8,
    r"num_kv_shared_layers": 0,
    r"query_pre_attn_scalar": 8,
    r"\w+_token_id": 1,
}
"""Numbers of small configs, by patterns of their names."""
EVEN_HEADS = {"num_key_value_heads": 4}
HEAD = {"head_dim": 8}
OWN: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1, 3]},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "dots3_note_text": EVEN_HEADS,
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "falcon_h1": {"mamba_d_ssm": 64},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * 2},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "hunyuan_v1_dense": HEAD,
    "hunyuan_v1_moe": HEAD,
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "mamba2": {"num_heads": 8, "n_groups": 1},
    "ministral": HEAD,
    "nemotron": HEAD | EVEN_HEADS,
    "xmod": {"default_language": "en_XX", "is_decoder": True},
    "zamba": {"attention_hidden_size": 64, "attention_head_dim": 16},
    "zaya": {"num_experts_per_tok": 1},
}
OWN |= {
    name: OWN.get(name, {}) | EVEN_HEADS
    for name in (
        *("axk1", "axk2", "deepseek_v2", "deepseek_v3", "deepseek_v32", "glm4_moe_lite"),
        *("glm_moe_dsa", "longcat_flash", "minicpm3", "youtu"),
    )
}
"""What some architectures need besides."""


def build_tiny_model(name: str) -> PreTrainedModel:
    """Build an architecture's tiny random model in evaluation mode, float32."""
    torch.manual_seed(0)
    config = build_tiny_config(CONFIG_MAPPING[name](), OWN.get(name, {}))
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(8)
    return model.eval()


def build_tiny_config(default: PretrainedConfig, own: dict[str, Any]) -> PretrainedConfig:
    """Build a config with small numbers, its parts included."""
    small: dict[str, Any] = {}
    for name, part in default.to_dict().items():
        if isinstance(part, dict) and isinstance(getattr(default, name), PretrainedConfig):
            small[name] = build_tiny_config(getattr(default, name), own.get(name, {}))
        elif type(part) is int:
            patterns = (pattern for pattern in SMALL if re.fullmatch(pattern, name))
            small[name] = SMALL.get(next(patterns, ""), part)
    values = small | {"tie_word_embeddings": False} | own
    return type(default)(**values)  # pyright: ignore[reportArgumentType]


def probe_architecture(name: str) -> dict[str, Finding] | str:
    """Probe a tiny model; a line if it cannot be built."""
    logging.set_verbosity_error()
    source = find_model(TOKENIZER)
    try:
        loaded = LoadedModel(source, build_tiny_model(name), load_tokenizer(source), name)
        read_logits(loaded.model, [1, 2, 3])
    except Exception as error:
        return f"not built: {type(error).__name__}: {' '.join(str(error).split())[:150]}"
    findings: dict[str, Finding] = {}
    for topic, (_, probe) in PROBES.items():
        findings[topic] = probe(loaded)
        if topic == "causality" and findings[topic].way is None:
            return findings
    batching = next((way for way in WAYS if way.name == findings["batching"].way), ALONE)
    findings[ADAPTER] = probe_adapter(loaded, batching)
    left_out = find_lora_targets(loaded.model, ()).left_out
    if findings[ADAPTER].way and left_out:
        kinds = ", ".join(kind.split(" ")[0].removeprefix("layers.") for kind in left_out)
        findings[ADAPTER] = replace(findings[ADAPTER], way=f"on all linear layers, not on {kinds}")
    return findings


def _send(name: str, connection: Any) -> None:
    torch.set_num_threads(1)
    connection.send(probe_architecture(name))


def probe_in_processes(names: list[str]) -> Iterator[tuple[str, dict[str, Finding] | str]]:
    """Probe each architecture in a process of its own, which ends when its time is over."""
    context = get_context()
    for name in tqdm(names, unit="architecture"):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_send, args=(name, sender))
        process.start()
        sender.close()
        try:
            found = receiver.recv() if receiver.poll(SECONDS) else f"took over {SECONDS} s"
        except EOFError:
            found = "not built: the process ended"
        process.kill()
        yield name, found


def render_row(name: str, found: dict[str, Finding] | str) -> str:
    """Render a row of the table."""
    if isinstance(found, str):
        return f"| {name} | {found} |" + " |" * (len(PROBES) - 1)
    if found["causality"].way is None:
        return f"| {name} | {_render_cell(found['causality'])} |" + " |" * (len(PROBES) - 1)
    cells = [_render_cell(finding) for topic, finding in found.items() if topic != "causality"]
    return f"| {name} | {' | '.join(cells)} |"


def _render_cell(finding: Finding) -> str:
    """Render the way that was found, or the reason why the last one does not work."""
    if finding.way:
        return finding.way
    *_, reason = finding.failures.values()
    return f"**refused**: {reason.replace(' standard deviations', '').replace('|', ' ')}"


@click.command()
@click.argument("names", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path), help="Markdown file to write.")
def main(names: tuple[str, ...], out: Path | None) -> None:
    """Probe the architectures NAMES, or all."""
    titles = [title for topic, (title, _) in PROBES.items() if topic != "causality"]
    lines = [
        f"transformers {version('transformers')}, torch {version('torch')}",
        "",
        f"| architecture | {' | '.join(titles)} | LoRA adapter |",
        "|" + "---|" * (len(titles) + 2),
    ]
    chosen = list(names) or sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    for name, found in probe_in_processes(chosen):
        lines.append(render_row(name, found))
        if out:
            out.write_text("\n".join(lines) + "\n", encoding="utf-8")
        else:
            tqdm.write(lines[-1])


if __name__ == "__main__":
    main()
