"""A biography dataset as a folder."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from elusive.biogen.biographies import biography
from elusive.biogen.config import BiogenConfig
from elusive.biogen.people import check_size, person
from elusive.biogen.questions import questions, shots
from elusive.common.dataset import write_dataset
from elusive.common.folders import already_made
from elusive.common.records import Document, Question, Shot

CHUNK = 256
"""People per piece of work of a process."""

SIZE_CATEGORIES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


def generate_dataset(
    config: BiogenConfig,
    out: Path,
    workers: int = 1,
    on_people: Callable[[int], object] = lambda count: None,
) -> bool:
    """Write the dataset of `config` to `out`; False if `out` holds it already.

    Args:
        config: what decides the content.
        out: folder to write.
        workers: processes; the bytes written do not depend on them.
        on_people: called with the number of people written since the last call.

    Raises:
        InputError: more people than unique names, or `out` holds other files.
    """
    check_size(config)
    parameters = {"generator": "biogen", **config.model_dump()}
    if already_made(out, "dataset", parameters):
        return False
    documents = _documents(config, workers, on_people)
    asked, solved = list(questions(config)), list(shots(config))
    card = render_card(config, documents, asked, solved)
    write_dataset(out, parameters, documents, asked, solved, card)
    return True


def _documents(
    config: BiogenConfig, workers: int, on_people: Callable[[int], object]
) -> list[Document]:
    """All biographies, in order of the people."""
    ranges = [
        range(start, min(start + CHUNK, config.people)) for start in range(0, config.people, CHUNK)
    ]
    make = partial(_biographies_of, config)
    documents: list[Document] = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for made in map(make, ranges) if workers == 1 else pool.map(make, ranges):
            documents += made
            on_people(len(made))
    return documents


def _biographies_of(config: BiogenConfig, indices: range) -> list[Document]:
    """Biographies of a range of people."""
    return [biography(config, person(config.seed, index)) for index in indices]


def render_card(
    config: BiogenConfig, documents: list[Document], asked: list[Question], solved: list[Shot]
) -> str:
    """The dataset's card as markdown with the Hub's YAML header."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template("card.md.j2").render(
        config=config,
        command=command_line(config),
        documents=documents,
        questions=asked,
        shots=solved,
        num_dev=sum(question.split == "dev" for question in asked),
        num_test=sum(question.split == "test" for question in asked),
        fields=_field_rows(documents),
        size_category=next(name for limit, name in SIZE_CATEGORIES if len(documents) < limit),
    )


def command_line(config: BiogenConfig) -> str:
    """The command that makes this dataset."""
    flags = [
        f"--{name.replace('_', '-')} {value}"
        for name, setting in config.model_dump().items()
        for value in (setting if isinstance(setting, tuple) else [setting])
    ]
    return " ".join(["elusive biogen", *flags, "--out DIR"])


def _field_rows(documents: list[Document]) -> list[tuple[str, str, str]]:
    """Field, an example value, and the mean distance from the name, for the card."""
    rows = []
    for index, example in enumerate(documents[0].facts):
        distances = [document.facts[index].distance for document in documents]
        known = [distance for distance in distances if distance is not None]
        mean = f"{sum(known) / len(known):.1f}" if known else "-"
        rows.append((example.field, example.value, mean))
    return rows
