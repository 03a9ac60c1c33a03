"""Fixtures: a toy tokenizer, saved tiny models, a small dataset folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny import VOCABULARY, tiny_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from elusive.biogen.biographies import generate_biographies
from elusive.biogen.config import BiogenConfig
from elusive.biogen.generate import generate_dataset
from elusive.biogen.questions import generate_questions


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache folder of this session's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELUSIVE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE trained on a few biographies; no start token."""
    config = BiogenConfig(people=40, seed=9)
    texts = [document.text for document in generate_biographies(config)]
    texts += [f"Question: {question.question}\nAnswer:" for question in generate_questions(config)]
    toy = Tokenizer(models.BPE())
    toy.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    toy.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<end>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    toy.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=toy, eos_token="<end>", pad_token="<pad>")


@pytest.fixture(scope="session")
def model_folder(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast
) -> Callable[..., Path]:
    """Function that saves a tiny model with the toy tokenizer and gives its folder."""
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
    folder = tmp_path_factory.mktemp("datasets") / "people"
    generate_dataset(BiogenConfig(people=6, num_shot_people=20), folder)
    return folder
