"""Clues by sentence: sums over each sentence's queries, and the spans that it could take up."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import tiny_model

from elusive.augment.clue_spans import split_sentences
from elusive.augment.clues.sentences import (
    SentenceScores,
    list_counted,
    list_mentions,
    measure_sentences,
)
from elusive.augment.config import AugmentConfig
from elusive.augment.scores import column_sums
from elusive.augment.scores.arm_scores import Scorers
from elusive.augment.scores.column_sums import compute_attention_received
from elusive.augment.scores.model_scores import Reading
from elusive.augment.scores.sentence_scores import contrast_sentences, score_sentences
from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.scores.units import cut_words, encode
from elusive.augment.sentences.candidates import find_candidates, score_words
from elusive.augment.sentences.span_scores import SPAN_SCORES, score_spans
from elusive.augment.sentences.subjects import score_agreement, score_name_list
from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.common.dataset.records import WIKIPEDIA, Document
from elusive.common.lm.loading import load_model


def write(text: str, **fields) -> Document:
    return Document("d", "Ada Lovelace", text, **({"heads": [], "others": [], "facts": [],
        "split": "train", "templates": [], "variant": "single"} | fields))  # fmt: skip


@pytest.fixture(scope="module")
def people() -> list[Document]:
    return list(generate_biographies(BiogenConfig(people=6, name_position="any", distractors=1)))


def read_maps(model, ids: list[int]) -> np.ndarray:
    """Attention maps, mean over the heads.  # (layer, query, key)."""
    model.config._attn_implementation = "eager"
    with torch.no_grad():
        maps = model(input_ids=torch.tensor([ids]), output_attentions=True).attentions
    return torch.stack(maps)[:, 0].mean(1).numpy()


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "bloom"])
@pytest.mark.parametrize("block", [4, 256])
def test_sums_by_group_equal_attention_maps(name, block, monkeypatch):
    monkeypatch.setattr(column_sums, "QUERY_BLOCK", block)
    ids = torch.randint(2, 600, (2, 17), generator=torch.Generator().manual_seed(0))
    queries = torch.zeros(2, 3, 17, dtype=torch.long)
    for number, chosen in enumerate((slice(3, 6), slice(6, 12), slice(12, 17))):
        queries[:, number, chosen] = 1
    received = compute_attention_received(
        tiny_model(name),
        ids,
        torch.ones_like(ids),
        queries,
        from_maps=name == "bloom",
        reduce_heads=lambda sums: sums.mean(1, keepdim=True),
    )
    assert received.shape == (3, 1, 2, 3, 17)
    for row in range(2):
        for layer, square in enumerate(read_maps(tiny_model(name), ids[row].tolist())):
            even = (square > 0) / (square > 0).sum(-1, keepdims=True)
            for number in range(3):
                chosen = queries[row, number].numpy() == 1
                for token in range(17):
                    later = chosen & (np.arange(17) > token)
                    actual = received[layer, 0, row, number, token].item()
                    if not even[later, token].sum():
                        assert np.isnan(actual)
                        continue
                    expected = square[later, token].sum() / even[later, token].sum()
                    assert actual == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("depth", [None, 0.4])
def test_scores_are_what_each_sentence_pays_to_the_tokens_before_it(people, model_folder, depth):
    loaded = load_model(str(model_folder("llama")), dtype=torch.float32)
    reading = Reading(minus_depth=depth, heads="0-1")
    for document, scored in zip(people, score_sentences(people, loaded, reading), strict=True):
        text, sentences = encode(document.text, loaded.tokenizer), split_sentences(document)
        loaded.model.config._attn_implementation = "eager"
        with torch.no_grad():
            output = loaded.model(torch.tensor([text.input_ids]), output_attentions=True)
        maps = torch.stack(output.attentions)[:, 0, :2].mean(1).numpy()
        average = maps.mean(0) - (maps[:1].mean(0) if depth else 0.0)
        assert scored.scores.shape == (len(sentences), len(text.units))
        for number, (start, end) in enumerate(sentences):
            queries = [
                token
                for (first, _), tokens in zip(text.units, text.unit_tokens, strict=True)
                for token in tokens
                if start <= first < end
            ]
            even = sum(1 / (query + 1) for query in queries)
            for index, (first, _) in enumerate(text.units):
                if first < start:
                    tokens = text.unit_tokens[index]
                    expected = average[np.ix_(queries, tokens)].sum(0).mean() / even
                    assert scored.scores[number, index] == pytest.approx(expected, abs=1e-4)


def test_scores_by_sentence_are_kept_and_read_again(people, model_folder):
    config = AugmentConfig(method="restate", model=str(model_folder("llama")))
    first = Scorers(config).score_sentences("model", people)

    def refuse(reference: str):
        raise AssertionError("the model is read again")

    again = Scorers(config, load=refuse).score_sentences("model", people)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
    # A text whose name contains the end of a sentence has fewer sentences with the name marked.
    apart = write("Is it Rome? Hall was built. It stands.")
    whole = replace(apart, heads=[(6, 16)])
    by_name = [Scorers(config).score_sentences("model", [d])[0] for d in (apart, whole)]
    assert [len(scores.scores) for scores in by_name] == [3, 2]


def test_a_contrast_by_sentence_is_that_of_its_rows():
    large = TokenScores([(0, 4), (4, 8)], np.array([[1.0, 2.0], [3.0, 4.0]], np.float32))
    small = TokenScores([(0, 2), (2, 8)], np.array([[1.0, 0.0], [0.0, 1.0]], np.float32))
    contrast = contrast_sentences(large, small)
    np.testing.assert_allclose(contrast.scores, [[0.5, 2.0], [2.5, 3.0]])


def test_candidates_are_neighbors_without_function_words_and_alike_in_case():
    text = "J. K. Rowling and her editor met Dr Bo Lie's agent in New York City. It rained."
    candidates = find_candidates(write(text), 2)
    spans = [text[slice(*candidates.locate(span))] for span in candidates.list_before(1)]
    assert spans == ["J. K. Rowling", "editor met", "Dr Bo", "Bo Lie", "New York", "York City"]
    assert candidates.list_before(0) == []


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("Conan O'Brien's wife is Liza O\u2019Neill.", ["Conan O'Brien", "Liza O\u2019Neill"]),
        ("Mr. Fox and Dr. Bo Lie met in St. Louis.", ["Mr. Fox", "Dr. Bo", "Bo Lie", "St. Louis"]),
        ("George W. Bush led the U.S. Army.", ["George W. Bush", "U.S. Army"]),
        ("J.R.R. Tolkien knew T. S. Eliot.", ["J.R.R. Tolkien", "T. S. Eliot"]),
        ("Ada works for Smith Ltd. Bo left.", ["Smith Ltd"]),
        ("She'll say they don't know Ada's World.", ["Ada", "World", "know", "say"]),
        ("राम दिल्ली में है।", ["राम दिल्ली", "दिल्ली में", "में है"]),
    ],
)
def test_names_stay_whole_in_spans(text, spans):
    document = write(f"{text} It rained.")
    candidates = find_candidates(document, 2)
    before = candidates.list_before(len(candidates.sentences) - 1)
    found = [document.text[slice(*candidates.locate(span))] for span in before]
    assert sorted(found) == sorted(spans)


def test_in_a_script_without_blanks_a_span_is_of_characters():
    document = write("王伟是作家。他喜欢喝茶。", language="zh")
    candidates = find_candidates(document, 2)
    spans = [document.text[slice(*candidates.locate(s))] for s in candidates.list_before(1)]
    assert spans == ["王伟", "伟是", "是作", "作家"]


def test_distances_count_line_breaks_as_blanks():
    document = write("Ada Byron left.\nBo\nruled\nRome.", heads=[(0, 9)])
    (counted,) = list_counted(document, find_candidates(document, 2))
    assert (counted.number, counted.distance) == (1, "1-10")
    late = replace(document, text=document.text.replace("left", "left" + "\nearly" * 12))
    (counted,) = list_counted(late, find_candidates(late, 2))
    assert counted.distance == "11-20"


def test_an_article_without_a_title_has_no_words_of_a_title():
    text = "An article of a law says so. It is old."
    document = replace(write(text, variant=WIKIPEDIA), entity="article 50")
    assert list_mentions(document) == []
    assert list_mentions(replace(document, entity="Law article")) == [(3, 10)]


def test_shorter_spans_count_only_where_there_are_no_longer_ones():
    text = "Normandy is old. It is in France. The Vikings came there."
    candidates = find_candidates(write(text), 2)
    before = [
        [text[slice(*candidates.locate(span))] for span in candidates.list_before(number)]
        for number in range(3)
    ]
    assert before == [[], ["Normandy", "old"], ["Normandy", "old", "France"]]


def test_a_word_scores_as_its_highest_token():
    units = [(0, 2), (2, 5), (6, 8)]
    scores = np.array([[1.0, 3.0, 2.0], [0.0, -1.0, -2.0]])
    by_word = score_words(scores, units, [(0, 5), (6, 8), (9, 10)])
    np.testing.assert_array_equal(by_word, [[3, 2, 1], [0, -2, -2]])


def test_spans_without_a_model_are_ranked_as_their_names_say(people):
    candidates = [find_candidates(document, 2) for document in people]

    def best(finder: str, seed: int = 0) -> list[str]:
        config = AugmentConfig(method="restate", restate_by=finder, seed=seed)
        scored = score_spans(people, candidates, Scorers(config), finder)
        return [
            document.text[slice(*own.locate(own.list_before(number)[scores.argmax()]))]
            for document, own, by_sentence in zip(people, candidates, scored, strict=True)
            for number, scores in enumerate(by_sentence)
            if len(scores)
        ]

    firsts = [document.text[slice(*own.locate(own.list_before(1)[0]))]
              for document, own in zip(people, candidates, strict=True)]  # fmt: skip
    assert set(best("first-words")) == set(firsts)
    assert best("random-span") == best("random-span")
    assert best("random-span") != best("random-span", seed=1)
    text = "Bo Lie left. Ada Lovelace came. Ada Lovelace won. She was glad."
    own = find_candidates(write(text), 2)
    scores = SPAN_SCORES["most-frequent"](write(text), own, 3, own.list_before(3), 0)
    assert text[slice(*own.locate(own.list_before(3)[scores.argmax()]))] == "Ada Lovelace"


def test_the_last_subject_is_right_where_names_are_repeated_and_not_where_gender_alone_tells():
    """The control shows what a score has to beat among distractors."""
    asked = {"people": 200, "start": 30_000, "name_position": "any", "distractors": 2}
    shares = []
    for repeated in ("always", "if-unclear"):
        config = BiogenConfig(**asked, repeat_name=repeated)
        documents = list(generate_biographies(config))
        rows = measure_sentences(documents, {}, 2)
        (row,) = (r for r in rows if (r.scorer, r.distance) == ("last-subject", "all"))
        shares.append(row.overlaps.mean)
        assert row.over_last_subject.mean == 0
        (listed,) = (r for r in rows if (r.scorer, r.distance) == ("name-list", "all"))
        assert listed.over_last_subject.mean == pytest.approx(listed.overlaps.mean - shares[-1])
    assert shares[0] > 0.97
    assert 0.3 < shares[1] < 0.8


def score_gold(documents: list[Document], sign: float) -> list[TokenScores]:
    """Scores that rise at names."""
    scored = []
    for document in documents:
        units = cut_words(document.text)
        marks = [any(s <= u[0] and u[1] <= e for s, e in document.heads) for u in units]
        rows = np.tile(sign * np.array(marks, np.float32), (len(split_sentences(document)), 1))
        scored.append(TokenScores(units, rows))
    return scored


def even_scores(documents: list[Document]) -> list[list[np.ndarray]]:
    """Scores of spans, all alike."""
    candidates = [find_candidates(document, 2) for document in documents]
    return [
        [np.zeros(len(own.list_before(number))) for number in range(len(own.sentences))]
        for own in candidates
    ]


def test_a_pronoun_stands_for_the_last_subject_that_agrees():
    text = (
        "Bo Lie left Ada Roe. Ada Roe came. Kim Ray won. She ran. His dog ran. It rained. They sat."
    )
    document, women = write(text), {"Ada Roe"}
    own = find_candidates(document, 2)

    def measure(probes: list[Document]) -> list[TokenScores]:
        scored = []
        for probe in probes:
            name, pronoun = probe.text.split(". ")
            units = [(0, len(name) + 1), (len(name) + 2, len(probe.text))]
            fits = (pronoun == "She") == (name in women)
            scored.append(TokenScores(units, np.array([-9.0, -1.0 if fits else -3.0])))
        return scored

    (by_sentence,) = score_agreement([document], [own], measure)
    best = {
        number: text[slice(*own.locate(own.list_before(number)[scores.argmax()]))]
        for number, scores in enumerate(by_sentence)
        if len(scores)
    }
    assert best == {
        1: "Bo Lie",
        2: "Ada Roe",
        3: "Ada Roe",
        4: "Kim Ray",
        5: "Kim Ray",
        6: "Kim Ray",
    }
    spans = [text[slice(*own.locate(span))] for span in own.list_before(3)]
    assert spans == ["Bo Lie", "Ada Roe", "Ada Roe", "Kim Ray"]
    np.testing.assert_allclose(by_sentence[3], [0, -1, 8, 2], err_msg="an object is no subject")
    nobody = write("Bo Lie left. Kim Ray won. She ran.")
    ((*_, scores),) = score_agreement([nobody], [find_candidates(nobody, 2)], measure)
    np.testing.assert_allclose(scores, [0, 1], err_msg="if none agrees, the last one counts")


def test_a_list_of_first_names_tells_whom_a_pronoun_means():
    text = "Anna Roe left. Casey Vee won. Bob Ray met Anna Roe. She ran. His dog ran. They sat."
    document = write(text)
    own = find_candidates(document, 2)
    best = {}
    for number in (3, 4, 5):
        spans = own.list_before(number)
        scores = score_name_list(document, own, number, spans, 0)
        best[number] = text[slice(*own.locate(spans[scores.argmax()]))]
    assert best == {3: "Anna Roe", 4: "Bob Ray", 5: "Bob Ray"}, "Casey is in both lists"


def test_the_benchmark_tells_a_perfect_score_from_its_inverse(people):
    gold, inverse = score_gold(people, 1.0), score_gold(people, -1.0)
    rows = measure_sentences(
        people, {"m": SentenceScores(gold, inverse, gold, even_scores(people))}, 2
    )
    by_name = {row.scorer: row for row in rows if row.distance == "all"}
    perfect, worst = by_name["attention, m"], by_name["depth-contrast, m"]
    assert (perfect.overlaps.mean, perfect.equals.mean) == (1.0, 1.0)
    assert perfect.mean_rank.mean < 0.5, "names that are said twice share their ranks"
    assert worst.overlaps.mean == 0.0
    assert worst.mean_rank.mean > 1
    assert 0 < by_name["random-span"].overlaps.mean < 1
    for row in by_name.values():
        parts = [other.sentences for other in rows if other.scorer == row.scorer]
        assert sum(parts) == 2 * row.sentences, "every sentence has one distance"
    named = sum(
        not any(start <= named < end for named, _ in [*document.heads, *document.others])
        and any(head_end <= start for _, head_end in document.heads)
        for document in people
        for start, end in split_sentences(document)
    )
    assert perfect.sentences == named
    assert any(document.others for document in people), "a sentence about someone else is left out"


def test_parts_of_a_title_are_mentions_in_wikipedia_only():
    text = "Nikola Tesla was an inventor. In 1884, Tesla moved. Teslas are cars."
    document = replace(write(text, heads=[(0, 12)]), entity="Nikola Tesla (inventor)")
    assert list_mentions(document) == [(0, 12)]
    assert list_mentions(replace(document, variant="wikipedia")) == [(0, 12), (39, 44)]
