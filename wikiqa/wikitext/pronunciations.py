"""Templates that say how a word is said."""

import re

from elusive.wikiqa.wikitext.calls import Call
from elusive.wikiqa.wikitext.marks import MARKS
from elusive.wikiqa.wikitext.tables import load_table

SOUNDS = {"'": "ˈ", ",": "ˌ", "_": " ", "g": "ɡ", "-": "-", "ae": "æ", "dh": "ð", "ng": "ŋ"}
"""Names of sounds in {{IPAc-en}} that are not printed as they are written."""
SOUND = re.compile(r"\.|[a-z]?[^\x00-\x7f]{1,3}|[^\x00-\x7f]{1,3}[a-z]|[a-z]")


def render_pronunciation(call: Call) -> str | None:
    """Return how a word is said as it is printed, or None if that is not known.

    >>> render_pronunciation(Call("ipac-en", {"1": "'", "2": "eɪ"}))
    '/ˈeɪ/'
    >>> render_pronunciation(Call("ipa-de", {"1": "tʃ", "2": ""}))
    '[tʃ]'
    """
    words = [MARKS.sub("", word) for word in call.positional]
    if call.name == "respell" and words:
        return "-".join(words).replace("-_-", " ")
    if call.name == "ipac-en":
        return _join_sounds(words)
    if call.name.startswith("ipa-") and words and words[0]:
        label = _find_label(call.name.removeprefix("ipa-"), words)
        return None if label is None else f"{label}[{words[0]}]"
    return None


def _join_sounds(words: list[str]) -> str | None:
    words = [word for word in words if word]
    if not words or not all(word in SOUNDS or SOUND.fullmatch(word) for word in words):
        return None
    return f"/{''.join(SOUNDS.get(word, word) for word in words)}/"


def _find_label(code: str, words: list[str]) -> str | None:
    """Return what stands before the sounds, by the second argument."""
    name = load_table("templates")["names"].get(code)
    kind = words[1] if len(words) > 1 else "pronunciation"
    if kind == "pronunciation":
        return name and f"{name} pronunciation: "
    labels = {"": "", "lang": name and f"{name}: ", "pron": "pronounced ", "ipa": "IPA: "}
    return labels.get(kind)
