"""The mark of each arm in pages and figures: one color per family of arms, one shape per arm.

A mark follows from what an arm does, not from its place in a table, so an arm looks the same on
every page and in every figure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from elusive.augment.arms import ARMS
from elusive.evaluate.cells.cell import get_arm
from elusive.evaluate.cells.cell_folder import CellResult

PALETTE = {
    "control": ("#767676", "#a8a8a8"),
    "unscored": ("#000000", "#f4f4f4"),
    "attention": ("#0072b2", "#4f9be8"),
    "probability": ("#3aa3dd", "#8fd3fb"),
    "position": ("#c98500", "#f0b13a"),
    "oracle": ("#009e73", "#1fc79a"),
    "rewrite": ("#d55e00", "#ff7a33"),
    "objective": ("#cc79a7", "#e39ac4"),
    "own": ("#8c5a2b", "#c99a6b"),
}
"""Color of each family on a light and on a dark page; the light ones are those of Okabe and Ito,
which color-blind readers can tell apart, partly darkened for contrast."""
FAMILIES = {
    "unscored": ("plain", "random"),
    "attention": ("attention", "contrast", "depth-contrast", "reverse-contrast"),
    "probability": ("surprisal-contrast", "entropy"),
    "position": ("position", "reverse-position", "shuffled"),
    "oracle": ("oracle", "oracle-unmatched", "oracle-relations"),
}
"""Families that are smaller than a kind of arms; every other arm belongs to the family of its kind,
and a score that is not in the table to the family `own`."""
SHAPES = "osD^v<>PX*"
"""Shapes in the notation of matplotlib; `page_elements.js` has their outlines in the same order."""


@dataclass(frozen=True)
class ArmMark:
    """How an arm looks."""

    family: str
    """Key of `PALETTE`."""
    shape: int
    """Position in `SHAPES`."""
    hollow: bool = False
    """Whether the shape is an outline, as for variants of an arm under other labels."""

    @property
    def color(self) -> str:
        """Color on a light page."""
        return PALETTE[self.family][0]

    @property
    def marker(self) -> str:
        """Shape for matplotlib."""
        return SHAPES[self.shape]


def find_family(method: str) -> str:
    """Return the family of an arm, from the name of its method, objective or control.

    >>> find_family("contrast"), find_family("eda"), find_family("a score of one's own")
    ('attention', 'rewrite', 'own')
    """
    for family, names in FAMILIES.items():
        if method in names:
            return family
    return ARMS[method].kind if method in ARMS and ARMS[method].kind != "score" else "own"


def assign_marks(methods: Mapping[str, str]) -> dict[str, ArmMark]:
    """Assign a mark to every arm of a table.

    An arm that has the name of its method gets the mark of the method. A variant under another
    label, such as `random (2)`, gets the family's color and the first hollow shape that is free,
    beginning with that of its method.

    Args:
        methods: the method, objective or control of each arm, by its label.

    >>> marks = assign_marks({"random": "random", "random (2)": "random"})
    >>> marks["random"].marker, marks["random (2)"].marker, marks["random (2)"].hollow
    ('s', 's', True)
    """
    marks: dict[str, ArmMark] = {}
    for label, method in methods.items():
        family = find_family(method)
        own = [name for name in dict.fromkeys([*ARMS, *methods.values()]) if _is_in(family, name)]
        first = own.index(method) % len(SHAPES)
        shapes = [*range(first, len(SHAPES)), *range(first)]
        choices = [ArmMark(family, shape, hollow=True) for shape in shapes]
        if label == method or method not in ARMS:
            choices = [ArmMark(family, first), *choices]
        taken = set(marks.values())
        marks[label] = next((mark for mark in choices if mark not in taken), choices[0])
    return marks


def mark_arms(arms: Mapping[str, list[CellResult]]) -> dict[str, ArmMark]:
    """Assign a mark to every arm of a table, given the cells of each."""
    return assign_marks({arm: get_arm(cells[0].parameters) for arm, cells in arms.items()})


def _is_in(family: str, method: str) -> bool:
    return find_family(method) == family
