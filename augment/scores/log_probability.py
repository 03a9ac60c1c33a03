"""Log-probability of each token of a text under a model."""

import torch

from elusive.augment.scores.scoring import TokenScores, padded, score_in_batches
from elusive.augment.scores.units import EncodedText
from elusive.common.dataset.records import Document
from elusive.common.lm.loading import LoadedModel


def score_log_probability(documents: list[Document], scorer: LoadedModel) -> list[TokenScores]:
    """Log-probability in nats of every unit, the mean over its tokens.

    A token's is that given all tokens before it; the first of a text has the start token or the
    prefix before it.
    """

    def score(texts: list[EncodedText], of: list[Document]) -> torch.Tensor:
        input_ids, mask = padded(texts, scorer.model.device)
        with torch.inference_mode():
            output = scorer.model(input_ids=input_ids, attention_mask=mask, use_cache=False)
        scores = torch.zeros(input_ids.shape)  # (batch, token)
        for row, logits in enumerate(output.logits):
            following = input_ids[row, 1:, None]
            gained = logits[:-1].float().log_softmax(-1).gather(-1, following)
            scores[row, 1:] = gained[:, 0]
        return scores

    return score_in_batches(documents, scorer, score)
