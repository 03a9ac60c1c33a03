"""Croissant metadata of tables: what files there are, and what each column holds.

Source: the Croissant format, version 1.0 (http://mlcommons.org/croissant/1.0). It cannot describe
lists of lists, which are described as repeated values.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from elusive.common.folders import hash_file

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
ENCODINGS = {
    ".parquet": "application/x-parquet",
    ".jsonl": "application/jsonlines",
    ".csv": "text/csv",
}
TYPES: list[tuple[Any, str]] = [
    (pa.types.is_boolean, "sc:Boolean"),
    (pa.types.is_integer, "sc:Integer"),
    (pa.types.is_floating, "sc:Float"),
]
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that version 1.0 prescribes."""


@dataclass(frozen=True)
class DatasetDescription:
    """What a dataset is called, and by whom it was made."""

    name: str
    description: str = "Made by elusive, which compares ways to prepare text for language models."
    licence: str | None = None
    authors: tuple[str, ...] = ()
    citation: str | None = None
    tags: tuple[str, ...] = ()
    url: str | None = None


@dataclass(frozen=True)
class TableFiles:
    """Files of one table, or of one split of it, and the columns that they have."""

    name: str
    schema: pa.Schema
    paths: tuple[Path, ...]


def render_croissant(
    description: DatasetDescription, tables: Sequence[TableFiles], folder: Path
) -> str:
    """Render the Croissant metadata of tables as JSON-LD.

    Args:
        description: of the dataset.
        tables: with their files.
        folder: from which the files' places are stated.
    """
    optional = {
        "license": description.licence,
        "url": description.url,
        "citeAs": description.citation,
        "creator": [{"@type": "sc:Person", "name": name} for name in description.authors],
        "keywords": list(description.tags),
    }
    content = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": description.name,
        "description": description.description,
        "conformsTo": CONFORMS_TO,
        **{name: value for name, value in optional.items() if value},
        "distribution": [_describe_file(p, folder) for table in tables for p in table.paths],
        "recordSet": [
            _describe_table(table, path, folder) for table in tables for path in table.paths
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _describe_file(path: Path, folder: Path) -> dict[str, Any]:
    place = path.relative_to(folder).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": place,
        "name": place,
        "contentUrl": place,
        "encodingFormat": ENCODINGS[path.suffix],
        "sha256": hash_file(path),
    }


def _describe_table(table: TableFiles, path: Path, folder: Path) -> dict[str, Any]:
    place = path.relative_to(folder).as_posix()
    name = table.name if len(table.paths) == 1 else f"{table.name}/{path.stem}"
    is_flat = path.suffix == ".csv"  # its lists and records are JSON in a text
    columns = [
        (column.name, pa.string() if is_flat and pa.types.is_nested(column.type) else column.type)
        for column in table.schema
    ]
    file = {"fileObject": {"@id": place}}
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "field": [_describe_column(f"{name}/{own}", kind, file, own) for own, kind in columns],
    }


def _describe_column(
    identifier: str, kind: pa.DataType, file: dict[str, Any], column: str, path: str = ""
) -> dict[str, Any]:
    """Describe a column, or a part of its records at a JSON path."""
    source = file | {"extract": {"column": column}}
    if path:
        source |= {"transform": {"jsonPath": path}}
    described: dict[str, Any] = {"@type": "cr:Field", "@id": identifier, "name": identifier}
    while isinstance(kind, (pa.ListType, pa.LargeListType, pa.FixedSizeListType)):
        kind, described["repeated"] = kind.value_type, True
    if isinstance(kind, pa.StructType):
        parts = [kind.field(index) for index in range(kind.num_fields)]
        described["subField"] = [
            _describe_column(
                f"{identifier}/{part.name}", part.type, file, column, f"{path}{part.name}"
            )
            for part in parts
        ]
        return described
    types = (name for is_of, name in TYPES if is_of(kind))
    return described | {"dataType": next(types, "sc:Text"), "source": source}
