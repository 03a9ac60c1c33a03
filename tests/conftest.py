"""Fixtures that tests share, and settings that keep the tests fast.

Functions import what they need themselves: under pytest-xdist, the process that hands out the tests
also reads this file, and it needs no PyTorch.
"""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from elusive.common.dataset.dataset_statistics import DatasetStatistics

# Each worker, and each process that a test starts, computes with one thread: on models this small,
# more threads only wait for each other. Where a test asks for more, idle threads sleep instead of
# spinning. PyTorch reads these variables when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# An example may take any time: on a busy machine, a deadline fails tests that are right.
hypothesis.settings.register_profile("elusive", deadline=None)
hypothesis.settings.load_profile("elusive")


def pytest_collection_finish() -> None:
    """Exempt all imported modules from garbage collection, which every training run triggers."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache folder of this session's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELUSIVE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _pictures_drawn_once() -> Iterator[None]:
    """Draw equal statistics only once: drawing takes half a second, and many datasets are equal."""
    from elusive.common.dataset import statistics_plot

    draw_statistics = statistics_plot.draw_statistics
    pictures: dict[str, bytes] = {}

    def draw_once(statistics: "DatasetStatistics", path: Path, title: str) -> None:
        key = f"{title} {statistics}"
        if key not in pictures:
            draw_statistics(statistics, path, title)
            pictures[key] = path.read_bytes()
        path.write_bytes(pictures[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics_plot, "draw_statistics", draw_once)
        yield


@pytest.fixture(scope="session")
def tokenizer() -> "PreTrainedTokenizerFast":
    """Byte-level BPE trained on a few biographies; no start token."""
    from tiny import VOCABULARY
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from elusive.biogen.biographies import generate_biographies
    from elusive.biogen.config import BiogenConfig
    from elusive.biogen.questions import generate_questions

    config = BiogenConfig(people=40, seed=9)
    texts = [document.text for document in generate_biographies(config)]
    texts += [f"Question: {question.question}\nAnswer:" for question in generate_questions(config)]
    toy = Tokenizer(models.BPE())
    toy.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    toy.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 1,  # Qwen2 adds a token of its own
        special_tokens=["<end>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    toy.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=toy, eos_token="<end>", pad_token="<pad>")


@pytest.fixture(scope="session")
def model_folder(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: "PreTrainedTokenizerFast"
) -> Callable[..., Path]:
    """Function that saves a tiny model with the toy tokenizer and gives its folder."""
    from tiny import tiny_model

    root = tmp_path_factory.mktemp("models")

    def save(name: str = "llama", seed: int = 0) -> Path:
        folder = root / f"{name}-{seed}"
        if not folder.exists():
            tiny_model(name, seed).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def people_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder of six people."""
    from elusive.biogen.config import BiogenConfig
    from elusive.biogen.generate import generate_dataset

    folder = tmp_path_factory.mktemp("datasets") / "people"
    generate_dataset(BiogenConfig(people=6, num_shot_people=20), folder)
    return folder
