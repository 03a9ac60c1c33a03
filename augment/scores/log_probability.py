"""Log-probability and entropy of each token of a text under a model."""

from collections.abc import Callable

import torch

from elusive.augment.scores.model_scores import pad_texts, score_in_batches
from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.scores.units import EncodedText
from elusive.common.dataset.records import Document
from elusive.common.lm.loading import LoadedModel

Measure = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Takes log-probabilities (token, vocabulary) and the tokens that came (token,), and returns one
number per token."""


def score_log_probability(documents: list[Document], scorer: LoadedModel) -> list[TokenScores]:
    """Score every unit by its log-probability in nats, the sum over its tokens.

    Each token is predicted from all tokens before it; the first token of a text is predicted from
    the start token or the prefix.
    """
    return _score_predictions(
        documents, scorer, lambda logs, tokens: logs.gather(-1, tokens[:, None])[:, 0], adds_up=True
    )


def score_entropy(documents: list[Document], scorer: LoadedModel) -> list[TokenScores]:
    """Score every unit by the entropy in nats of its prediction, the mean over its tokens.

    Each token is predicted as in `score_log_probability`. A predictable place has a low entropy,
    whichever token came.
    """
    return _score_predictions(
        documents, scorer, lambda logs, _: torch.special.entr(logs.exp()).sum(-1)
    )


def _score_predictions(
    documents: list[Document], scorer: LoadedModel, measure: Measure, adds_up: bool = False
) -> list[TokenScores]:
    def score(texts: list[EncodedText], _: list[Document]) -> torch.Tensor:
        input_ids, mask = pad_texts(texts, scorer.model.device)
        with torch.inference_mode():
            output = scorer.model(input_ids=input_ids, attention_mask=mask, use_cache=False)
        scores = torch.zeros(input_ids.shape)  # (batch, token)
        for row, logits in enumerate(output.logits):
            log_probabilities = logits[:-1].float().log_softmax(-1)
            scores[row, 1:] = measure(log_probabilities, input_ids[row, 1:])
        return scores

    return score_in_batches(documents, scorer, score, adds_up)
