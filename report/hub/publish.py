"""Publishing a folder to the Hugging Face Hub: one commit of what changed, resumable."""

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    logging,
    validate_repo_id,
)
from huggingface_hub.utils.sha import git_hash
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity import wait_exponential_jitter as exponential

from elusive.common.errors import InputError
from elusive.common.folders import MANIFEST, file_hash

ATTEMPTS = 6
WAIT = exponential(initial=1, max=30)
"""Seconds between attempts, where the Hub does not say how long to wait."""
BUSY = (408, 429, 500, 502, 503, 504)
CONFLICTS = (409, 412)
"""Somebody else committed since the repository was looked at."""
CHUNK_BYTES, CHUNK_FILES = 64 << 20, 100
"""Files that are sent together; those of an interrupted upload are not sent again."""
OF_THE_HUB = (".gitattributes", "README.md")
"""Files that a new repository may have."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Published:
    """What a publish did."""

    url: str
    commit: str
    files: int
    """Added or changed."""
    num_bytes: int
    """Of these."""
    unchanged: int
    deleted: int


@dataclass(frozen=True)
class Target:
    """Where to publish."""

    repository: str
    """Such as `org/name`."""
    kind: str
    """`dataset` or `model`."""
    owned: tuple[str, ...]
    """Files, and folders with a slash, that are deleted when they are not published any more."""
    branch: str = "main"
    private: bool = False


def checked_repository(repository: str) -> str:
    """The identifier, if it is one.

    Raises:
        InputError: it has no owner, or signs that the Hub does not allow.
    """
    try:
        validate_repo_id(repository)
    except HFValidationError:
        repository = f" {repository}"
    if not re.fullmatch(r"[^/\s]+/[^/\s]+", repository):
        raise InputError(
            f"{repository.strip()!r} is no name on the Hub: it should be OWNER/NAME, of letters, "
            "digits, '-', '_' and '.', such as my-org/people"
        )
    return repository


def publish_folder(
    folder: Path,
    target: Target,
    message: str,
    api: HfApi | None = None,
    on_bytes: Callable[[int, int], object] = lambda done, total: None,
) -> Published:
    """Make a repository of the Hub hold what a folder holds, in one commit.

    Args:
        folder: its content.
        target: where it goes.
        message: of the commit.
        api: of the Hub; by default the one of HF_ENDPOINT, with the token of the machine.
        on_bytes: called with the bytes sent so far, and those to send.

    Raises:
        InputError: no or a wrong token, no right to write, no connection, or the name is taken.
    """
    api = api or HfApi()
    token = api.token if isinstance(api.token, str) else get_token()
    if not token:
        raise InputError(
            "no token of the Hub: log in with `hf auth login`, or set HF_TOKEN to a token with the "
            "right to write (https://huggingface.co/settings/tokens)"
        )
    api = HfApi(endpoint=api.endpoint, token=token)
    with _quiet(), _explained(target, api.endpoint, token):
        _patiently(api.whoami, network=False)
        _prepare(api, target)
        # A commit that lost the race against another is planned anew, on what is there then.
        again = Retrying(
            retry=retry_if_exception(lambda error: _status(error) in CONFLICTS),
            stop=stop_after_attempt(ATTEMPTS),
            wait=WAIT,
            reraise=True,
        )
        return again(_commit, api, folder, target, message, on_bytes)


def _prepare(api: HfApi, target: Target) -> None:
    """Make the repository and the branch where they are missing."""
    repository, kind = target.repository, target.kind
    try:
        info = _patiently(api.repo_info, repository, repo_type=kind)
    except RepositoryNotFoundError:
        _create(api, target)
    else:
        if target.private and not info.private:
            raise InputError(
                f"{repository} is public: make it private in its settings, or leave out --private"
            )
    if target.branch != "main":
        _patiently(
            api.create_branch, repository, branch=target.branch, repo_type=kind, exist_ok=True
        )


def _create(api: HfApi, target: Target) -> None:
    """Make a repository, which may have come into being just now."""
    try:
        _patiently(
            api.create_repo,
            target.repository,
            repo_type=target.kind,
            private=target.private or None,
        )
    except HfHubHTTPError as error:
        if _status(error) != 409:
            raise
        try:
            _patiently(api.repo_info, target.repository, repo_type=target.kind)
        except RepositoryNotFoundError:
            raise InputError(
                f"the name {target.repository} is taken by something that is no {target.kind}, or "
                "that this token may not see: choose another --to"
            ) from None


def _commit(
    api: HfApi,
    folder: Path,
    target: Target,
    message: str,
    on_bytes: Callable[[int, int], object],
) -> Published:
    """Send what differs from the repository as it is now."""
    place: dict[str, Any] = {"repo_id": target.repository, "repo_type": target.kind}
    head = _patiently(
        api.repo_info, target.repository, repo_type=target.kind, revision=target.branch
    )
    tree = api.list_repo_tree(**place, revision=head.sha, recursive=True)
    there = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
    _check_ours(there, target)
    files = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    changed = [name for name, path in files.items() if not _same(path, there.get(name))]
    gone = [n for n in there if n not in files and _is_owned(n, target.owned)]
    sent = Published(
        url=_url(api, target),
        commit=head.sha or "",
        files=len(changed),
        num_bytes=sum(files[name].stat().st_size for name in changed),
        unchanged=len(files) - len(changed),
        deleted=len(gone),
    )
    if not changed and not gone:
        return sent
    additions = [CommitOperationAdd(name, files[name]) for name in changed]
    done = 0
    for chunk in _chunks(additions):
        # huggingface_hub waits and tries again by itself here, and asks the Hub what it has.
        api.preupload_lfs_files(additions=chunk, revision=target.branch, **place)
        done += sum(each.upload_info.size for each in chunk)
        on_bytes(done, sent.num_bytes)
    # With its parent named, a commit whose answer was lost is not made twice.
    made = _patiently(
        api.create_commit,
        operations=[*additions, *map(CommitOperationDelete, gone)],
        commit_message=message,
        revision=target.branch,
        parent_commit=head.sha,
        **place,
    )
    return Published(**{**vars(sent), "commit": made.oid})


def _check_ours(there: dict[str, RepoFile], target: Target) -> None:
    """Raise InputError if the repository holds what nobody published from here."""
    others = [name for name in there if name not in OF_THE_HUB]
    if others and not any(name.rsplit("/", 1)[-1] == MANIFEST for name in there):
        raise InputError(
            f"{target.repository} holds files that `elusive publish` did not make ({others[0]}, "
            f"{len(others)} in all): choose another --to or another --revision"
        )


def _files(folder: Path) -> list[Path]:
    """All files below a folder, in order of their names."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _same(path: Path, remote: RepoFile | None) -> bool:
    """Whether the repository holds this file with these bytes."""
    if remote is None or remote.size != path.stat().st_size:
        return False
    if remote.lfs:
        return remote.lfs.sha256 == file_hash(path)
    return remote.blob_id == git_hash(path.read_bytes())


def _is_owned(name: str, owned: tuple[str, ...]) -> bool:
    """Whether a file is one of those that publishing makes."""
    return any(name == each or (each.endswith("/") and name.startswith(each)) for each in owned)


def _chunks(additions: list[CommitOperationAdd]) -> Iterator[list[CommitOperationAdd]]:
    """Files to send together."""
    chunk: list[CommitOperationAdd] = []
    for addition in additions:
        size = sum(each.upload_info.size for each in [*chunk, addition])
        if chunk and (size > CHUNK_BYTES or len(chunk) >= CHUNK_FILES):
            yield chunk
            chunk = []
        chunk.append(addition)
    if chunk:
        yield chunk


def _url(api: HfApi, target: Target) -> str:
    """Address of the repository, or of its branch."""
    place = f"datasets/{target.repository}" if target.kind == "dataset" else target.repository
    branch = f"/tree/{target.branch}" if target.branch != "main" else ""
    return f"{api.endpoint}/{place}{branch}"


def _patiently(
    call: Callable[..., Result], *arguments: Any, network: bool = True, **named: Any
) -> Result:
    """What a call gives that huggingface_hub makes once only, tried again while the Hub is busy.

    Args:
        call: the call.
        *arguments: its arguments.
        network: whether to try again without a connection, too.
        **named: its named arguments.
    """

    def is_passing(error: BaseException) -> bool:
        return _status(error) in BUSY or (network and isinstance(error, httpx2.TransportError))

    again = Retrying(
        retry=retry_if_exception(is_passing),
        stop=stop_after_attempt(ATTEMPTS),
        wait=_wait,
        reraise=True,
    )
    return again(call, *arguments, **named)


def _wait(state: RetryCallState) -> float:
    """Seconds to wait: as the Hub says, else longer each time."""
    error = state.outcome.exception() if state.outcome else None
    said = (
        error.response.headers.get("Retry-After", "") if isinstance(error, HfHubHTTPError) else ""
    )
    return float(said) if said.isdigit() else WAIT(state)


def _status(error: BaseException | None) -> int | None:
    """The HTTP status that an error stands for, its causes included."""
    while error is not None:
        if isinstance(error, HfHubHTTPError):
            return error.response.status_code
        error = error.__cause__
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither bars nor warnings of huggingface_hub, whose addresses may be signed."""
    level, bars = logging.get_verbosity(), not are_progress_bars_disabled()
    logging.set_verbosity_error()
    disable_progress_bars()
    try:
        with warnings.catch_warnings():
            # Predictions of a run are Parquet in a repository of adapters, on purpose.
            warnings.filterwarnings(
                "ignore", message="It seems that you are about to commit a data"
            )
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            enable_progress_bars()


@contextmanager
def _explained(target: Target, endpoint: str, token: str) -> Iterator[None]:
    """Turns what goes wrong between here and the Hub into one line, without the token."""
    try:
        yield
    except InputError:
        raise
    except (HfHubHTTPError, httpx2.HTTPError, OSError, RuntimeError, ValueError) as error:
        line = _explanation(error, target.repository, endpoint)
        raise InputError(line.replace(token, "***")) from None


def _explanation(error: Exception, repository: str, endpoint: str) -> str:
    """One line that says what is wrong and what to do."""
    status = _status(error)
    if status is None and _is_connection(error):
        return (
            f"no connection to {endpoint} ({type(error).__name__}): run the same command again "
            "later; files that were sent are not sent again"
        )
    causes = f"{error}" + (f" {error.__cause__}" if error.__cause__ else "")
    said = " ".join(causes.split())[:300]
    advice = {
        401: "the Hub does not accept this token: log in again with `hf auth login`, or set "
        "HF_TOKEN to a valid one",
        403: f"this token may not write to {repository}: take one with the right to write there, "
        "or another --to",
    }
    if status in advice:
        return advice[status]
    if status in BUSY or status in CONFLICTS:
        return (
            f"the Hub did not take the upload ({status}) in {ATTEMPTS} attempts: run the same "
            "command again later; files that were sent are not sent again"
        )
    return f"the Hub did not take {repository} ({status or type(error).__name__}: {said})"


def _is_connection(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is one of the connection."""
    while error is not None:
        if isinstance(error, httpx2.TransportError | ConnectionError | TimeoutError):
            return True
        error = error.__cause__
    return False
