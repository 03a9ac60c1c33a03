"""A family as folders: its tokenizer, then each model, trained, saved and described."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from elusive.common.errors import InputError
from elusive.common.folders import (
    create_folder,
    find_changed_keys,
    hash_parameters,
    is_made,
    write_atomically,
)
from elusive.common.jinja import render_template
from elusive.models.config import ModelShape, PretrainPlan
from elusive.models.population import Population, build_population, generate_tokenizer_texts
from elusive.models.pretrain import LOG, pretrain_model
from elusive.models.tokenizer import train_tokenizer

PLAN = "plan.json"
WORK = ".training"
"""Folder of the tokenizer, and of the checkpoints and logs of unfinished models."""


def pretrain_family(
    plan: PretrainPlan,
    out: Path,
    on_tokens: Callable[[str, int], object] = lambda name, count: None,
) -> list[Path]:
    """Train every model of a plan that `out` does not hold yet; return the models' folders.

    If interrupted, call it again to resume from the last checkpoint.

    Args:
        plan: the recipe.
        out: folder of the family; in it, each model gets a folder that transformers opens.
        on_tokens: called with a model's name and the number of tokens read since the last call.

    Raises:
        InputError: `out` holds another family, or other files.
    """
    _claim_folder(plan, out)
    population = build_population(plan)
    tokenizer = _make_tokenizer(plan, out / WORK / "tokenizer")
    return [
        _make_model(shape, plan, population, tokenizer, out, on_tokens) for shape in plan.models
    ]


def _claim_folder(plan: PretrainPlan, out: Path) -> None:
    """Write the plan to `out`, unless `out` belongs to another plan or holds other files."""
    path = out / PLAN
    if not path.exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"{out} holds other files: choose another --out or empty it")
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _render_plan(plan))
    stored = json.loads(path.read_text(encoding="utf-8"))
    changed = find_changed_keys(stored, plan.model_dump(mode="json"))
    if changed:
        raise InputError(
            f"{out} holds a family of another plan (different {', '.join(changed)}): "
            "choose another --out or delete it"
        )


def _render_plan(plan: PretrainPlan) -> str:
    """Render a plan as JSON, which is also YAML."""
    return json.dumps(plan.model_dump(mode="json"), indent=2) + "\n"


def _make_tokenizer(plan: PretrainPlan, folder: Path) -> PreTrainedTokenizerFast:
    """Train the family's tokenizer and save it, or load it, so that a resumed family keeps it."""
    if not folder.exists():
        draft = folder.with_name(f".{folder.name}")
        train_tokenizer(generate_tokenizer_texts(plan), plan.vocabulary).save_pretrained(draft)
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
    """Train and save one model, unless its folder exists."""
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
        model.set_attn_implementation("sdpa")
        weights = model.to(torch.bfloat16)  # type: ignore[arg-type]
        weights.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        (draft / LOG).write_text(log, encoding="utf-8")
        (draft / PLAN).write_text(_render_plan(plan), encoding="utf-8")
        card = _render_card(shape, plan, model.num_parameters(), log)
        (draft / "README.md").write_text(card, encoding="utf-8")
    return folder


def _render_card(shape: ModelShape, plan: PretrainPlan, num_parameters: int, log: str) -> str:
    """Render the model's card, markdown with the Hub's YAML header."""
    entries: list[dict[str, Any]] = [json.loads(line) for line in log.splitlines()]
    return render_template(
        Path(__file__).parent / "card.md.j2",
        shape=shape,
        plan=plan,
        num_parameters=num_parameters,
        entries=entries,
    )
