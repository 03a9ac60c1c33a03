"""Calls of the Hugging Face Hub: repeated while it is busy, explained in one line if they fail."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx2
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    logging,
)
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity import wait_exponential_jitter as exponential

from elusive.common.errors import InputError

ATTEMPTS = 6
WAIT = exponential(initial=1, max=30)
"""Seconds between attempts, unless the Hub says how long to wait."""
BUSY = (408, 429, 500, 502, 503, 504)
CONFLICTS = (409, 412)
"""Somebody else committed after the repository was read."""

Result = TypeVar("Result")


def call_hub(
    call: Callable[..., Result], *arguments: Any, retry_offline: bool = True, **named: Any
) -> Result:
    """Return the result of a call, repeating the call while the Hub is busy.

    For calls that huggingface_hub makes only once.

    Args:
        call: method of an `HfApi`.
        *arguments: its arguments.
        retry_offline: whether to repeat the call if there is no connection, too.
        **named: its named arguments.
    """

    def is_transient(error: BaseException) -> bool:
        offline = isinstance(error, httpx2.TransportError)
        return find_status(error) in BUSY or (retry_offline and offline)

    return _retry(is_transient, call, *arguments, **named)


def retry_conflicts(call: Callable[..., Result], *arguments: Any) -> Result:
    """Return the result of a call, repeating the call while somebody else commits first."""
    return _retry(lambda error: find_status(error) in CONFLICTS, call, *arguments)


def _retry(
    is_transient: Callable[[BaseException], bool],
    call: Callable[..., Result],
    *arguments: Any,
    **named: Any,
) -> Result:
    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_attempt(ATTEMPTS),
        wait=_seconds_to_wait,
        reraise=True,
    )
    return retrying(call, *arguments, **named)


def _seconds_to_wait(state: RetryCallState) -> float:
    """The Hub's own wish if it states one, else longer each time."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, HfHubHTTPError):
        seconds = error.response.headers.get("Retry-After", "")
        if seconds.isdigit():
            return float(seconds)
    return WAIT(state)


def find_status(error: BaseException | None) -> int | None:
    """Return the HTTP status of an error or of one of its causes; None if there is none."""
    while error is not None:
        if isinstance(error, HfHubHTTPError):
            return error.response.status_code
        error = error.__cause__
    return None


@contextmanager
def silence_hub() -> Iterator[None]:
    """Silence the bars and warnings of huggingface_hub, which may show signed addresses."""
    level, bars = logging.get_verbosity(), not are_progress_bars_disabled()
    logging.set_verbosity_error()
    disable_progress_bars()
    try:
        with warnings.catch_warnings():
            # A repository of adapters holds predictions as Parquet on purpose.
            warnings.filterwarnings(
                "ignore", message="It seems that you are about to commit a data"
            )
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            enable_progress_bars()


@contextmanager
def explain_errors(repository: str, endpoint: str, token: str) -> Iterator[None]:
    """Turn whatever goes wrong with the Hub into an InputError of one line, without the token."""
    try:
        yield
    except InputError:
        raise
    except (HfHubHTTPError, httpx2.HTTPError, OSError, RuntimeError, ValueError) as error:
        line = _explanation(error, repository, endpoint)
        raise InputError(line.replace(token, "***")) from None


def _explanation(error: Exception, repository: str, endpoint: str) -> str:
    """One line that says what is wrong and what to do."""
    resume = "rerun the same command later to resume"
    status = find_status(error)
    if status is None and _is_offline(error):
        return f"no connection to {endpoint} ({type(error).__name__}): {resume}"
    if status == 401:
        return (
            "the Hub does not accept this token: log in again with `hf auth login`, or set "
            "HF_TOKEN to a valid token"
        )
    if status == 403:
        return (
            f"this token may not write to {repository}: use a token with write access to it, or "
            "choose another --to"
        )
    if status in BUSY or status in CONFLICTS:
        return f"the Hub refused the upload in {ATTEMPTS} attempts ({status}): {resume}"
    causes = f"{error}" + (f" {error.__cause__}" if error.__cause__ else "")
    reason = " ".join(causes.split())[:300]
    return f"the Hub refused {repository} ({status or type(error).__name__}: {reason})"


def _is_offline(error: BaseException | None) -> bool:
    """Whether the connection caused an error."""
    while error is not None:
        if isinstance(error, httpx2.TransportError | ConnectionError | TimeoutError):
            return True
        error = error.__cause__
    return False
