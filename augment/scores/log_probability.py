"""Log-probability of each token of a text under a model."""

import torch

from elusive.augment.scores.model_scores import pad_texts, score_in_batches
from elusive.augment.scores.token_scores import TokenScores
from elusive.augment.scores.units import EncodedText
from elusive.common.dataset.records import Document
from elusive.common.lm.loading import LoadedModel


def score_log_probability(documents: list[Document], scorer: LoadedModel) -> list[TokenScores]:
    """Score every unit by its log-probability in nats, the mean over its tokens.

    Each token is predicted from all tokens before it; the first token of a text is predicted from
    the start token or the prefix.
    """

    def score(texts: list[EncodedText], _: list[Document]) -> torch.Tensor:
        input_ids, mask = pad_texts(texts, scorer.model.device)
        with torch.inference_mode():
            output = scorer.model(input_ids=input_ids, attention_mask=mask, use_cache=False)
        scores = torch.zeros(input_ids.shape)  # (batch, token)
        for row, logits in enumerate(output.logits):
            next_ids = input_ids[row, 1:, None]
            log_probabilities = logits[:-1].float().log_softmax(-1).gather(-1, next_ids)
            scores[row, 1:] = log_probabilities[:, 0]
        return scores

    return score_in_batches(documents, scorer, score)
