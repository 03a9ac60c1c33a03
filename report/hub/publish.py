"""Publish a folder on the Hugging Face Hub: one commit of what changed; interrupted ones resume."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id
from huggingface_hub.utils.sha import git_hash

from elusive.common.errors import InputError
from elusive.common.folders import MANIFEST, hash_file
from elusive.report.hub.hub_calls import (
    call_hub,
    explain_errors,
    find_status,
    retry_conflicts,
    silence_hub,
)

CHUNK_BYTES, CHUNK_FILES = 64 << 20, 100
"""Most that is uploaded together; an interrupted upload keeps the chunks that it has sent."""
MADE_BY_HUB = {".gitattributes", "README.md"}
"""Files that a new repository may have."""
MADE_IN_SPACE = MADE_BY_HUB | {"index.html", "style.css"}
"""Files that the first commit of a new static Space, made by the Hub, may have."""
FOLDERS = {"model": "", "dataset": "datasets/", "space": "spaces/"}
"""What precedes a repository's name in its address, by kind."""


@dataclass(frozen=True)
class Published:
    """Result of publishing."""

    url: str
    commit: str
    files: int
    """Number of files added or changed."""
    num_bytes: int
    """Size of these files."""
    unchanged: int
    deleted: int


@dataclass(frozen=True)
class Target:
    """Repository to publish to."""

    repository: str
    """Identifier, such as `org/name`."""
    kind: str
    """`dataset`, `model` or `space`; a new Space is a static one."""
    owned: tuple[str, ...]
    """Files, and folders with a final slash, to delete if they are not published any more."""
    branch: str = "main"
    private: bool = False


def check_repository(repository: str) -> None:
    """Check that an identifier is valid and names an owner.

    Raises:
        InputError: it has no owner, or characters that the Hub does not allow.
    """
    try:
        validate_repo_id(repository)
        is_valid = "/" in repository  # the Hub allows names without an owner
    except HFValidationError:
        is_valid = False
    if not is_valid:
        raise InputError(
            f"{repository!r} is not a repository name: use OWNER/NAME with letters, digits, '-', "
            "'_' and '.', such as my-org/people"
        )


def holds_dry_run(folder: Path, repository: str, owned: dict[str, tuple[str, ...]]) -> bool:
    """Whether a folder holds nothing but an earlier dry run for this repository.

    A folder of `elusive biogen` or `elusive run` is none, as its card does not name the repository.

    Args:
        folder: what may be replaced.
        repository: identifier of the repository.
        owned: what a dry run writes, as in `Target`, by the folder below.
    """
    cards = [folder / part / "README.md" for part in owned]
    if not all(card.is_file() and repository in card.read_text("utf-8") for card in cards):
        return False
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    allowed = {(Path(part) / name).as_posix(): name for part, own in owned.items() for name in own}
    kept = tuple(f"{place}/" if name.endswith("/") else place for place, name in allowed.items())
    return all(_is_owned(name, kept) for name in names)


def publish_folder(
    folder: Path,
    target: Target,
    message: str,
    api: HfApi | None = None,
    on_bytes: Callable[[int, int], object] = lambda done, total: None,
) -> Published:
    """Make a repository of the Hub hold the files of a folder, in one commit.

    Args:
        folder: folder with the content of the repository.
        target: repository to publish to.
        message: message of the commit.
        api: client of the Hub; by default that of HF_ENDPOINT with the token of this machine.
        on_bytes: called with the number of bytes sent so far, and of all bytes to send.

    Raises:
        InputError: the token is missing or wrong or may not write, there is no connection, or the
            name is taken.
    """
    api = api or HfApi()
    token = api.token if isinstance(api.token, str) else get_token()
    if not token:
        raise InputError(
            "no Hub token: log in with `hf auth login`, or set HF_TOKEN to a token with write "
            "access (https://huggingface.co/settings/tokens)"
        )
    api = HfApi(endpoint=api.endpoint, token=token)
    with silence_hub(), explain_errors(target.repository, api.endpoint, token):
        call_hub(api.whoami, retry_offline=False)
        _prepare(api, target)
        # If somebody else commits first, plan the commit again for the new state.
        return retry_conflicts(_commit, api, folder, target, message, on_bytes)


def _prepare(api: HfApi, target: Target) -> None:
    """Create the repository and the branch if they are missing."""
    repository, kind = target.repository, target.kind
    try:
        info = call_hub(api.repo_info, repository, repo_type=kind)
    except RepositoryNotFoundError:
        _create(api, target)
    else:
        if target.private and not info.private:
            raise InputError(
                f"{repository} is public: make it private in its settings, or leave out --private"
            )
    if target.branch != "main":
        call_hub(api.create_branch, repository, branch=target.branch, repo_type=kind, exist_ok=True)


def _create(api: HfApi, target: Target) -> None:
    """Create a repository, unless somebody else just created it."""
    repository, kind = target.repository, target.kind
    try:
        settings: dict[str, Any] = {"repo_type": kind, "private": target.private or None}
        settings |= {"space_sdk": "static"} if kind == "space" else {}
        call_hub(api.create_repo, repository, **settings)
    except HfHubHTTPError as error:
        if find_status(error) != 409:
            raise
        try:
            call_hub(api.repo_info, repository, repo_type=kind)
        except RepositoryNotFoundError:
            raise InputError(
                f"the name {repository} is taken by something that is not a {kind} or that this "
                "token may not see: choose another --to"
            ) from None


def _commit(
    api: HfApi,
    folder: Path,
    target: Target,
    message: str,
    on_bytes: Callable[[int, int], object],
) -> Published:
    """Upload and commit what differs from the repository as it is now."""
    # 1) Compare the folder with the repository.
    repository: dict[str, Any] = {"repo_id": target.repository, "repo_type": target.kind}
    head = call_hub(api.repo_info, **repository, revision=target.branch)
    tree = api.list_repo_tree(**repository, revision=head.sha, recursive=True)
    remote = {file.path: file for file in tree if isinstance(file, RepoFile)}
    if not (target.kind == "space" and remote.keys() <= MADE_IN_SPACE and _is_new(api, target)):
        _check_ownership(remote, target)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    local = {path.relative_to(folder).as_posix(): path for path in paths}
    changed = [name for name, path in local.items() if not _is_same(path, remote.get(name))]
    gone = [name for name in remote if name not in local and _is_owned(name, target.owned)]
    published = Published(
        url=_url(api, target),
        commit=head.sha or "",
        files=len(changed),
        num_bytes=sum(local[name].stat().st_size for name in changed),
        unchanged=len(local) - len(changed),
        deleted=len(gone),
    )
    if not changed and not gone:
        return published
    # 2) Upload in chunks. huggingface_hub repeats failed calls here by itself, and asks the Hub
    #    what it already has.
    additions = [CommitOperationAdd(name, local[name]) for name in changed]
    done = 0
    for chunk in _chunks(additions):
        api.preupload_lfs_files(additions=chunk, revision=target.branch, **repository)
        done += sum(addition.upload_info.size for addition in chunk)
        on_bytes(done, published.num_bytes)
    # 3) Commit. As the parent is named, repeating a commit whose answer was lost cannot commit
    #    twice.
    commit = call_hub(
        api.create_commit,
        operations=[*additions, *map(CommitOperationDelete, gone)],
        commit_message=message,
        revision=target.branch,
        parent_commit=head.sha,
        **repository,
    )
    return replace(published, commit=commit.oid)


def _is_new(api: HfApi, target: Target) -> bool:
    """Whether nobody has committed to a repository after the Hub created it."""
    commits = call_hub(
        api.list_repo_commits, target.repository, repo_type=target.kind, revision=target.branch
    )
    return len(commits) == 1


def _check_ownership(remote: dict[str, RepoFile], target: Target) -> None:
    """Raise InputError if the repository holds files but none of `elusive publish`."""
    others = [name for name in remote if name not in MADE_BY_HUB]
    if others and not any(name.rsplit("/", 1)[-1] == MANIFEST for name in remote):
        raise InputError(
            f"{target.repository} holds files that `elusive publish` did not make ({others[0]}, "
            f"{len(others)} in all): choose another --to or another --revision"
        )


def _is_same(path: Path, remote: RepoFile | None) -> bool:
    """Whether the repository holds a file with the same bytes."""
    if remote is None or remote.size != path.stat().st_size:
        return False
    if remote.lfs:
        return remote.lfs.sha256 == hash_file(path)
    return remote.blob_id == git_hash(path.read_bytes())


def _is_owned(name: str, owned: tuple[str, ...]) -> bool:
    folders = tuple(path for path in owned if path.endswith("/"))
    return name in owned or name.startswith(folders)


def _chunks(additions: list[CommitOperationAdd]) -> Iterator[list[CommitOperationAdd]]:
    """Files to upload together, of limited number and size."""
    chunk: list[CommitOperationAdd] = []
    for addition in additions:
        size = sum(file.upload_info.size for file in [*chunk, addition])
        if chunk and (size > CHUNK_BYTES or len(chunk) >= CHUNK_FILES):
            yield chunk
            chunk = []
        chunk.append(addition)
    if chunk:
        yield chunk


def _url(api: HfApi, target: Target) -> str:
    """Address of the repository, or of its branch."""
    folder = FOLDERS[target.kind]
    branch = f"/tree/{target.branch}" if target.branch != "main" else ""
    return f"{api.endpoint}/{folder}{target.repository}{branch}"
