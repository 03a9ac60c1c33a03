"""A family as folders: one tokenizer, then each model trained, saved and described."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from elusive.common.errors import InputError
from elusive.common.folders import (
    create_folder,
    find_changed_keys,
    hash_parameters,
    is_made,
    write_atomically,
)
from elusive.common.templates import render_template
from elusive.models.config import ModelShape, PretrainPlan
from elusive.models.population import Population, build_population, tokenizer_texts
from elusive.models.pretrain import LOG, pretrain_model
from elusive.models.tokenizer import train_tokenizer

PLAN = "plan.json"
WORK = ".training"
"""Where checkpoints and logs of unfinished models are."""


def pretrain_family(
    plan: PretrainPlan,
    out: Path,
    on_tokens: Callable[[str, int], object] = lambda name, count: None,
) -> list[Path]:
    """Train every model of a plan that `out` does not hold yet; the models' folders.

    Interrupted, the same call goes on from the last checkpoint.

    Args:
        plan: the recipe.
        out: folder of the family; each model gets a folder in it that transformers opens.
        on_tokens: called with a model's name and the tokens it read since the last call.

    Raises:
        InputError: `out` holds another family, which is never overwritten.
    """
    _claim(plan, out)
    population = build_population(plan)
    tokenizer = _make_tokenizer(plan, out / WORK / "tokenizer")
    return [
        _make_model(shape, plan, population, tokenizer, out, on_tokens) for shape in plan.models
    ]


def _claim(plan: PretrainPlan, out: Path) -> None:
    """Keep the plan in `out`, unless that is the folder of something else."""
    path = out / PLAN
    parameters = plan.model_dump(mode="json")
    if not path.exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"{out} holds other files: choose another --out or empty it")
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _plan_text(plan))
    changed = find_changed_keys(json.loads(path.read_text(encoding="utf-8")), parameters)
    if changed:
        raise InputError(
            f"{out} holds a family of another plan (different {', '.join(changed)}): "
            "choose another --out or delete it"
        )


def _plan_text(plan: PretrainPlan) -> str:
    """A plan as JSON, which is YAML, too."""
    return json.dumps(plan.model_dump(mode="json"), indent=2) + "\n"


def _make_tokenizer(plan: PretrainPlan, folder: Path) -> PreTrainedTokenizerFast:
    """The family's tokenizer, kept so that a resumed family goes on with the one it began with."""
    if not folder.exists():
        draft = folder.with_name(f".{folder.name}")
        train_tokenizer(tokenizer_texts(plan), plan.vocabulary).save_pretrained(draft)
        draft.replace(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def _make_model(
    shape: ModelShape,
    plan: PretrainPlan,
    population: Population,
    tokenizer: PreTrainedTokenizerFast,
    out: Path,
    on_tokens: Callable[[str, int], object],
) -> Path:
    """Train and save one model, unless its folder is there."""
    folder = out / shape.name
    parameters = {
        "shape": shape.model_dump(),
        "plan": hash_parameters(plan.model_dump(mode="json")),
    }
    if is_made(folder, "model", parameters):
        on_tokens(shape.name, plan.tokens)
        return folder
    work = out / WORK / shape.name
    model = pretrain_model(
        shape, plan, population, tokenizer, work, lambda count: on_tokens(shape.name, count)
    )
    log = (work / LOG).read_text(encoding="utf-8")
    with create_folder(folder, "model", parameters) as draft:
        _save(model, tokenizer, draft)
        (draft / LOG).write_text(log, encoding="utf-8")
        (draft / PLAN).write_text(_plan_text(plan), encoding="utf-8")
        (draft / "README.md").write_text(render_card(shape, plan, model, log), encoding="utf-8")
    return folder


def _save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Weights in bfloat16, configuration and tokenizer."""
    model.set_attn_implementation("sdpa")
    weights = model.to(torch.bfloat16)  # type: ignore[arg-type]
    weights.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def render_card(shape: ModelShape, plan: PretrainPlan, model: LlamaForCausalLM, log: str) -> str:
    """The model's card as markdown with the Hub's YAML header."""
    entries: list[dict[str, Any]] = [json.loads(line) for line in log.splitlines()]
    return render_template(
        Path(__file__).parent / "card.md.j2",
        shape=shape,
        plan=plan,
        num_parameters=model.num_parameters(),
        entries=entries,
    )
