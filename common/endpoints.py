"""Clients of OpenAI-compatible servers, whose errors are one line each."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from elusive.common.errors import InputError

if TYPE_CHECKING:
    from openai import OpenAI

KEY_VARIABLE = "OPENAI_API_KEY"
RETRIES = 6


def build_endpoint_client(endpoint: str) -> "OpenAI":
    """Build a client that retries failed requests with waits; its key is `OPENAI_API_KEY`.

    Args:
        endpoint: base address of the server, such as http://localhost:8000/v1.
    """
    from openai import OpenAI

    key = os.environ.get(KEY_VARIABLE, "none")
    return OpenAI(base_url=endpoint, api_key=key, max_retries=RETRIES)


@contextmanager
def shorten_errors(
    endpoint: str, model: str, hint: str = "try again later", kept: str = ""
) -> Iterator[None]:
    """Turn the errors of the requests in a block into one line each.

    Args:
        endpoint: address of the server.
        model: name of the model that is asked.
        hint: what to do if the server refuses for another reason than the key.
        kept: what is not lost if the server does not answer.

    Raises:
        InputError: the server does not answer, or refuses.
    """
    from openai import APIConnectionError, APIStatusError

    try:
        yield
    except APIConnectionError:
        raise InputError(
            f"{endpoint} did not answer {RETRIES} repeated requests: is the server running?{kept}"
        ) from None
    except APIStatusError as error:
        hint = f"set {KEY_VARIABLE}" if error.status_code in (401, 403) else hint
        first_line = next(iter(error.message.splitlines()), "")[:200]
        raise InputError(
            f"{endpoint} refused model {model!r} with status {error.status_code} "
            f"({first_line}): {hint}"
        ) from None
