"""Exact match, F1 and answer recall as a metric for Hugging Face's `evaluate`."""

import datasets
import evaluate

from elusive.common.answers import score_answer


class ClosedBookQA(evaluate.Metric):
    """Hugging Face metric of EM, F1 and answer recall, each in [0, 1]; it works offline.

    `compute` takes `language`, the code of the answers' language, if it is not English.

    >>> metric = ClosedBookQA(keep_in_memory=True)
    >>> metric.compute(predictions=["Paris", "Rome"], references=[["Paris"], ["Oslo", "Bergen"]])
    {'em': 0.5, 'f1': 0.5, 'opens': 0.5, 'contains': 0.5}
    """

    def _info(self) -> evaluate.MetricInfo:
        """Describe the inputs: predictions are strings, references are lists of gold answers."""
        return evaluate.MetricInfo(
            description="Closed-book question answering: exact match, bag F1, answer recall.",
            citation="arXiv:1606.05250",
            inputs_description="predictions: list of str; references: list of list of str",
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Sequence(datasets.Value("string")),
                }
            ),
        )

    def _compute(
        self, predictions: list[str], references: list[list[str]], language: str = "en"
    ) -> dict[str, float]:
        """Average every score over the questions, in the language of their answers."""
        pairs = zip(predictions, references, strict=True)
        rows = [score_answer(*pair, language) for pair in pairs]
        names = ("em", "f1", "opens", "contains")
        return {name: sum(row[name] or 0.0 for row in rows) / len(rows) for name in names}
