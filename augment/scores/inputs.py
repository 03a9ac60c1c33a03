"""Faults of an arm's settings that can be found without PyTorch, which takes seconds to load."""

from elusive.augment.arms import ARMS, CLUE_FINDERS
from elusive.augment.config import AugmentConfig
from elusive.augment.scores.user_scores import load_user_score
from elusive.common.errors import InputError
from elusive.common.lm.references import find_model, find_weight_files

MODEL_ROLES = ("model", "large", "small")


def list_models(config: AugmentConfig) -> dict[str, str]:
    """List the models on this machine that an arm uses, by their role."""
    names = {role: getattr(config, role) for role in MODEL_ROLES}
    if not config.endpoint:
        names["writer"] = config.writer
    return {role: name for role, name in names.items() if name}


def list_needed_roles(config: AugmentConfig) -> tuple[str, ...]:
    """List the roles of the models that an arm, and its way of finding clues, need."""
    arm, finder = ARMS.get(config.method), config.clue_finder
    of_arm = arm.models if arm else ()
    return tuple(dict.fromkeys((*of_arm, *(CLUE_FINDERS[finder][1] if finder else ()))))


def check_roles(config: AugmentConfig) -> None:
    """Raise InputError if the config does not name a model that the arm needs."""
    for role in list_needed_roles(config):
        if getattr(config, role) is None:
            restating = f" with restate_by {config.clue_finder!r}" if config.clue_finder else ""
            raise InputError(f"method {config.method!r}{restating} needs --{role} MODEL")


def check_augment_inputs(config: AugmentConfig) -> None:
    """Raise InputError if a model that the arm needs, or the user's own function, is missing."""
    check_roles(config)
    for name in list_models(config).values():
        find_weight_files(find_model(name))
    if config.method_file:
        load_user_score(config.method_file)
