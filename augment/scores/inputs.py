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


def check_roles(config: AugmentConfig) -> None:
    """Raise InputError if the config does not name a model that the arm needs."""
    arm = ARMS.get(config.method)
    for role in arm.models if arm else ():
        if getattr(config, role) is None:
            raise InputError(f"method {config.method!r} needs --{role} MODEL")
    finder = config.clue_finder
    for role in CLUE_FINDERS[finder][1] if finder else ():
        if getattr(config, role) is None:
            raise InputError(f"restating by {finder!r} needs --{role} MODEL")


def check_augment_inputs(config: AugmentConfig) -> None:
    """Raise InputError if a model that the arm needs, or the user's own function, is missing."""
    check_roles(config)
    for name in list_models(config).values():
        find_weight_files(find_model(name))
    if config.method_file:
        load_user_score(config.method_file)
