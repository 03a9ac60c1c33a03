"""Rooms of the package: which rooms each may import, and how many modules one may hold."""

MAY_IMPORT = {
    "common": (),
    "common/dataset": ("common",),
    "common/lm": ("common", "common/dataset", "common/probe"),
    "common/chat": ("common", "common/lm"),
    "common/probe": ("common", "common/lm"),
    "biogen/people": ("common", "biogen", "biogen/texts"),
    "biogen/texts": ("common", "common/dataset", "biogen", "biogen/people"),
    "biogen": ("common", "common/dataset", "biogen/people", "biogen/texts"),
    "wikiqa/sources": ("common", "common/dataset", "wikiqa"),
    "wikiqa/questions": ("common", "common/chat", "common/dataset", "common/lm", "wikiqa"),
    "wikiqa": (
        *("common", "common/chat", "common/dataset", "common/lm"),
        *("wikiqa/sources", "wikiqa/questions"),
    ),
    "augment": (
        *("common", "common/chat", "common/dataset", "common/lm"),
        *("augment/arrays", "augment/scores", "augment/sentences", "augment/clues"),
    ),
    "augment/arrays": ("common", "common/dataset", "augment", "augment/scores"),
    "augment/scores": (
        *("common", "common/dataset", "common/lm", "common/probe"),
        *("augment", "augment/arrays"),
    ),
    "augment/sentences": (
        *("common", "common/dataset", "common/lm"),
        *("augment", "augment/arrays", "augment/scores"),
    ),
    "augment/clues": (
        *("common", "common/dataset", "common/lm"),
        *("augment", "augment/arrays", "augment/scores", "augment/sentences"),
    ),
    "evaluate/answering": ("common", "common/dataset", "common/lm", "common/probe", "evaluate"),
    "evaluate/training": (
        *("common", "common/dataset", "common/lm", "common/probe", "augment", "augment/scores"),
        *("evaluate", "evaluate/answering"),
    ),
    "evaluate/cells": (
        *("common", "common/dataset", "common/lm", "common/probe", "augment"),
        *("evaluate", "evaluate/answering", "evaluate/training"),
    ),
    "evaluate/compare": (
        *("common", "common/dataset", "common/lm", "augment", "augment/scores", "augment/clues"),
        *("evaluate", "evaluate/cells"),
    ),
    "evaluate": (
        *("common", "common/dataset", "common/lm", "common/probe", "biogen"),
        *("augment", "augment/scores", "augment/clues"),
        *("evaluate/answering", "evaluate/training", "evaluate/cells", "evaluate/compare"),
        "evaluate/engines",
    ),
    "evaluate/engines": ("common", "common/dataset", "evaluate"),
    "models": ("common", "common/dataset", "common/lm", "biogen", "evaluate/answering"),
    "report/page": (
        *("common", "common/dataset", "augment"),
        *("evaluate", "evaluate/cells", "evaluate/compare"),
    ),
    "report/leaderboard": (
        *("common", "common/dataset", "report/page"),
        *("evaluate", "evaluate/cells", "evaluate/compare"),
    ),
    "report/export": (
        *("common", "common/dataset", "common/lm", "wikiqa/sources"),
        *("evaluate", "evaluate/answering", "evaluate/cells"),
    ),
    "report/hub": ("common", "common/dataset", "evaluate/cells", "evaluate/compare"),
}
"""Rooms that the modules of each room may import, beside its own. Nothing imports the command line,
which imports every room. Arrows between stages go one way: common, then biogen and wikiqa, then
augment, evaluate, report; a stage and its rooms may import each other."""
MOST_MODULES = 14
