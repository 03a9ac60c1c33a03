"""The names of whom sentences are about, by rules of English writing."""

import calendar
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import regex
from faker.providers.lorem.en_US import Provider as Words
from faker.providers.person.en_US import Provider as Names

from elusive.augment.clue_spans import split_sentences
from elusive.augment.eda import find_synonyms
from elusive.augment.sentences.candidates import JOINT, TITLES, WORD, is_function_word
from elusive.augment.sentences.subjects import find_gender, look_up_gender
from elusive.common.dataset.records import Document, Span

PARTICLES = "van|von|der|den|ter|zu|af|de|del|della|di|da|dos|du|la|le|el|al|bin|ibn|of"
JOINING = re.compile(rf"\s+(?:(?:{PARTICLES})\s+)+")
"""Words in small letters that may stand inside a name, and the white space around them."""
ARTICLE = re.compile(r"(?:al|el|an|ar|as|at)-\w")
"""The Arabic article, with which a name goes on in small letters."""
ACRONYM = re.compile(r"(?![IVX]+$)[A-Z]{2,}")
"""What names no person, such as UTC."""
LISTED = re.compile(r",?\s+(?:and|or)\s+|,\s+")
"""What stands between two names of a list."""
NOT_BEFORE_SUBJECTS = re.compile(
    "a|an|the|this|that|these|those|no|some|any|each|every|in|on|at|to|for|from|by|with|of|off|"
    "as|than|like|about|after|before|into|onto|over|under|between|during|through|throughout|"
    "since|until|near|against|among|around|behind|beside|despite|toward|towards|upon|via|within|"
    "per|outside|inside|across|along"
)
"""Articles and prepositions: the name after one is not the subject, or not a person's."""
OPENERS = re.compile(
    "although|though|because|unless|whereas|whether|once|however|moreover|furthermore|therefore|"
    "thus|hence|meanwhile|nevertheless|nonetheless|indeed|instead|perhaps|rather|yet|still|even|"
    "only|both|either|neither|nor|another|others|many|most|much|few|several|some|all|each|every|"
    "such|two|three|four|five|six|seven|eight|nine|ten|today|among|along|across|against|around|"
    "beyond|besides|despite|without|within|towards|toward|upon|via|per|according|following|"
    "including|unlike|like|later|earlier|now|here|amid|albeit|therein|whatever|why|no|yes|yeah|"
    "oh|well|born|raised|educated|named|known|called|based|founded|located|written"
)
"""Words that open sentences and are no names, besides function words."""
FIRST_NAMES = ("may", "will")
"""Function words that are also first names."""
TIMES = frozenset(
    name.casefold()
    for names in (calendar.month_name, calendar.month_abbr, calendar.day_name, calendar.day_abbr)
    for name in (*names, "AD", "BC", "CE", "BCE")
    if name
)
"""Words with capitals that tell a time."""
WORD_BEFORE = re.compile(r"([\w'\u2019]+)\W*$")
CAPITAL_AFTER = regex.compile(r"\s+\p{Lu}")
PRONOUN = re.compile(r"\b(?:s?he|him|his|hers?|they|them|theirs?|it|its)\b", re.IGNORECASE)
COMMON = frozenset(Words.word_list)
"""About a thousand common words; the others are those with synonyms in WordNet."""
SINGULARS = {"men": "man", "women": "woman", "children": "child", "people": "person"}
TITLES_OF_WOMEN = ("Mrs", "Ms", "Miss", "Lady", "Queen", "Princess", "Dame", "Madame")
TITLES_OF_MEN = ("Mr", "Sir", "Lord", "King", "Prince")
OTHER_TITLE = re.compile(f"{TITLES}|Professor|Doctor|President|Saint")
"""Titles that tell no gender, or were looked for before."""
LONGEST_WORD = 40
"""Characters in which the word before a name is looked for."""
ENDINGS = ("", "s", "es", "ed", "d", "ing", "ly", "er", "ers")
MIN_STEM = 3


@dataclass(frozen=True)
class Name:
    """A run of words with capitals."""

    span: Span
    sentence: int
    opens: bool
    """Whether it opens its sentence, where every word has a capital."""
    words: int


def find_named_subjects(document: Document) -> list[Span | None]:
    """Find the name of whom each sentence is about, if an earlier sentence says it.

    A name is a run of words with capitals, of any length, with words such as *van* inside; a single
    word that opens a sentence is one if it has its capital elsewhere, too, or is no common word.
    The subject of a sentence is its first name without a preposition or an article before it.
    Sentences without one, and those that have a pronoun before it, go on about the last subject
    whose first name is not, by Faker's lists, of the other gender than *he* or *she*.

    Args:
        document: in English.

    Returns:
        For each sentence, the span of that subject; None for those before the first, and for those
        whose own subject stands before their pronoun.

    >>> text = "Ludwig van Beethoven fell ill. In Vienna it rained. He slept. Haydn met him."
    >>> document = Document("", "", text, [], [], [], "train", [], "")
    >>> [span and text[slice(*span)] for span in find_named_subjects(document)]
    [None, 'Ludwig van Beethoven', 'Ludwig van Beethoven', None]
    """
    text, sentences = document.text, split_sentences(document)
    subjects = _find_subjects(text, sentences)
    # The last that a pronoun can mean, of she (1), of he (-1), or of neither (0).
    last: dict[int, Span] = {}
    found: list[Span | None] = []
    for number, (start, end) in enumerate(sentences):
        pronoun = PRONOUN.search(text, start, end)
        own = subjects.get(number)
        if own and (pronoun is None or own[0] < pronoun.start()):
            found.append(None)
            gender = _tell_gender(text[slice(*own)])
            last |= {sign: own for sign in (-1, 0, 1) if sign * gender >= 0}
        else:
            found.append(last.get(find_gender(text, start, end)))
    return found


def _tell_gender(name: str) -> int:
    """Tell the gender of a name by its title or first name: 1 of a woman, -1 of a man, else 0."""
    for word in name.split():
        bare = word.rstrip(".")
        if bare in TITLES_OF_WOMEN or bare in TITLES_OF_MEN:
            return 1 if bare in TITLES_OF_WOMEN else -1
        if len(bare) > 1 and not OTHER_TITLE.fullmatch(bare):
            return look_up_gender(bare)
    return 0


def _find_subjects(text: str, sentences: list[Span]) -> dict[int, Span]:
    """Find the first name of each sentence that can be its subject."""
    names = _find_names(text, sentences)
    sure = {word for name in names for word in _list_sure_words(text, name)}
    subjects: dict[int, Span] = {}
    for listed in _group_lists(text, names):
        first = listed[0]  # in "patents of Tesla, Lodge and Stone", nobody is the subject
        if _can_be_subject(text, sentences, first, sure):
            subjects.setdefault(first.sentence, first.span)
    return subjects


def _list_sure_words(text: str, name: Name) -> list[str]:
    """List the words of a name whose capital does not come from the start of a sentence."""
    words = text[slice(*name.span)].split()
    return words[1:] if name.opens else words


def _can_be_subject(text: str, sentences: list[Span], name: Name, sure: set[str]) -> bool:
    start, end = name.span
    if follows_preposition(text, sentences[name.sentence][0], start):
        return False
    word = text[start:end]
    return not name.opens or name.words > 1 or word in sure or not _is_common(word)


def _group_lists(text: str, names: list[Name]) -> Iterator[list[Name]]:
    """Yield the names of each list, such as "Baghdad, Kiev and Merv", together; others alone."""
    group: list[Name] = []
    for name in names:
        if group and not _are_listed(text, group[-1], name):
            yield from _split_unless_list(text, group)
            group = []
        group.append(name)
    if group:
        yield from _split_unless_list(text, group)


def _are_listed(text: str, first: Name, second: Name) -> bool:
    between = text[first.span[1] : second.span[0]]
    return first.sentence == second.sentence and LISTED.fullmatch(between) is not None


def _split_unless_list(text: str, group: list[Name]) -> list[list[Name]]:
    """Return names together if they are more than two, or joined by *and* or *or*."""
    between = text[group[0].span[1] : group[-1].span[0]]
    is_list = len(group) > 2 or re.search(r"\b(?:and|or)\b", between)
    return [group] if is_list else [[name] for name in group]


def _find_names(text: str, sentences: list[Span]) -> list[Name]:
    """Find all names of a text, in its order."""
    starts = [start for start, _ in sentences]
    names: list[Name] = []
    for match in WORD.finditer(text):
        word, (start, end) = match["word"], match.span("word")
        sentence = bisect_right(starts, start) - 1
        opens = not WORD.search(text, starts[sentence], start)
        if not _is_capitalized(word, opens) or _tells_time(text, starts[sentence], start, end):
            continue
        last = names[-1] if names else None
        if last and last.sentence == sentence and _continues(text, last.span[1], start):
            names[-1] = Name((last.span[0], end), sentence, last.opens, last.words + 1)
        else:
            names.append(Name((start, end), sentence, opens, 1))
    return names


def _is_capitalized(word: str, opens: bool) -> bool:
    """Whether a word has a capital as names do; words that open a sentence all have one."""
    lower = word.casefold()
    is_opener = opens and OPENERS.fullmatch(lower)
    if (is_opener or is_function_word(word)) and lower not in FIRST_NAMES:
        return False
    is_name = word[0].isupper() or ARTICLE.match(word) is not None
    return is_name and not ACRONYM.fullmatch(word)


def _tells_time(text: str, first: int, start: int, end: int) -> bool:
    """Whether a word of a sentence that starts at `first` is a month or a day, not April Chen."""
    if text[start:end].casefold() not in TIMES:
        return False
    return CAPITAL_AFTER.match(text, end) is None or follows_preposition(text, first, start)


def follows_preposition(text: str, first: int, start: int) -> bool:
    """Whether a preposition or an article is the last word before a name."""
    before = WORD_BEFORE.search(text[max(first, start - LONGEST_WORD) : start])
    return before is not None and NOT_BEFORE_SUBJECTS.fullmatch(before[1].casefold()) is not None


def _continues(text: str, end: int, start: int) -> bool:
    """Whether a name that ends here goes on with the word that starts there."""
    return bool(JOINT.fullmatch(text, end, start) or JOINING.fullmatch(text, end, start))


@cache
def _is_common(word: str) -> bool:
    """Whether a word with a small letter is a common one, or derived from one, or an adverb."""
    lower = word.casefold()
    stems = [stem for ending in ENDINGS if len(stem := lower.removesuffix(ending)) >= MIN_STEM]
    stems += [lower.removesuffix("ies") + "y", SINGULARS.get(lower, lower)]
    is_adverb = lower.endswith("ly") and word not in Names.first_names
    return is_adverb or any(stem in COMMON or find_synonyms(stem) for stem in stems)
