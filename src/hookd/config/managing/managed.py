"""The managed directory: one YAML file for each webhook that is defined through the control API.

Rules of this module:

1. The file of an id is named after it, and a file that holds anything else than that one webhook is not the API's: a
   person wrote it, and nothing here touches it.
2. A file is whole or not there: it is written beside its name, flushed, renamed, and the directory flushed. What a
   crash leaves behind has a name that nobody reads, and is written over the next time.
3. It begins with who wrote it and when, in one line, and shows the definition as a person would write it.
4. What is signed with is made here too, one file for each secret, readable by us alone, never in the managed directory:
   that may be a repository that others read.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hookd.config.building.outgoing import hash_json
from hookd.config.problems import ConfigInvalid
from hookd.config.text.strictyaml import parse_yaml
from hookd.config.text.yamltext import render_yaml
from hookd.core.daemonconfig import SECRETS_FOLDER
from hookd.core.ids import tenant_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hookd.config.building.reader import Findings
    from hookd.core.config import Webhook

#: Of an id in the name of its file; neither a tenant nor an id has one.
_SLASH: Final = "+"
_SUFFIX: Final = ".yaml"
_REMOVED: Final = "removed"
#: How a file of the API's begins.
MARK: Final = b"# Written by hookd for "
_MOST_DIGITS: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A definition as it stands in its file. `etag` is another one whenever the definition is."""

    id: str
    definition: Mapping[str, object]
    etag: str


def managed_root(main: str, managed_dir: str) -> str:
    """Give the managed directory as a snapshot of the files names it; `main` is the main file."""
    return str(Path(main).parent / managed_dir)


def file_of(root: str, webhook_id: str) -> str:
    """Give the path of the file in which a managed webhook stands."""
    return f"{root.rstrip('/')}/{webhook_id.replace('/', _SLASH)}{_SUFFIX}"


def is_inside(root: str | None, file: str) -> bool:
    """Whether a file of a snapshot is one of the managed directory."""
    return root is not None and file.startswith(f"{root.rstrip('/')}/")


def etag_of(definition: Mapping[str, object]) -> str:
    """Give the revision of a definition: 32 hexadecimal digits."""
    return hash_json(definition)


def render_file(webhook_id: str, definition: Mapping[str, object], *, who: str, when: str) -> bytes:
    """Give the content of a webhook's file. `who` is a text for people, `when` RFC 3339."""
    clean = "".join(character if character.isprintable() else " " for character in who)
    head = f"{MARK.decode()}{clean} at {when}. The control API writes it anew with each change.\n"
    return (head + render_yaml({"webhooks": {webhook_id: definition}})).encode()


def read_definition(webhook_id: str, content: bytes) -> Written | None:
    """Read a webhook's file; None if it holds anything else than this webhook."""
    try:
        value = parse_yaml(content, "").value
    except ConfigInvalid:
        return None
    webhooks = value.get("webhooks") if isinstance(value, dict) and len(value) == 1 else None
    definition = webhooks.get(webhook_id) if isinstance(webhooks, dict) and len(webhooks) == 1 else None
    if not isinstance(definition, dict):
        return None
    return Written(id=webhook_id, definition=definition, etag=etag_of(definition))


def write_file(path: str, content: bytes) -> None:
    """Write a file whole, for us alone, and have it on disk. Raises OSError."""
    directory, name = os.path.split(path)
    os.makedirs(directory, mode=0o700, exist_ok=True)  # noqa: PTH103  paths are texts, as in the snapshot
    beside = f"{directory}/.{name}.new"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)  # noqa: PTH105  the same
    except OSError:
        with suppress(OSError):
            os.unlink(beside)  # noqa: PTH108  the same
        raise
    _flush_directory(directory)


def remove_file(path: str) -> None:
    """Remove a file and have that on disk; one that is gone is fine. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108  the same
        _flush_directory(os.path.dirname(path))  # noqa: PTH120  the same


def _flush_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --------------------------------------------------------------------------- signing secrets


class Keyring:
    """The signing secrets that hookd makes: `secrets/TENANT+ID.NUMBER` in the state directory, the last the newest."""

    def __init__(self, state_dir: str, generate: Callable[[], str]) -> None:
        self._directory = f"{os.path.abspath(state_dir)}/{SECRETS_FOLDER}"  # noqa: PTH100  the same
        self._generate = generate

    def next_path(self, webhook_id: str) -> str:
        """Give the path at which the next secret of a webhook will stand."""
        return self._path(webhook_id, max(self._numbers(webhook_id), default=0) + 1)

    def make(self, path: str) -> str:
        """Make a secret and have it on disk at a path that `next_path` gave; give it. Raises OSError."""
        secret = self._generate()
        write_file(path, secret.encode() + b"\n")
        return secret

    def drop(self, webhook_id: str, *, keep: Iterable[str] = ()) -> None:
        """Remove a webhook's secrets but those at the paths of `keep`. Raises OSError."""
        kept = frozenset(keep)
        for number in self._numbers(webhook_id):
            path = self._path(webhook_id, number)
            if path not in kept:
                remove_file(path)

    def holds(self, path: str) -> bool:
        """Whether a path is that of a secret of ours."""
        return path.startswith(f"{self._directory}/")

    def made_at(self, path: str) -> float | None:
        """Give when the secret at a path was made, in seconds since the epoch; None if it is not there."""
        try:
            return os.stat(path).st_mtime  # noqa: PTH116  the same
        except OSError:
            return None

    def _path(self, webhook_id: str, number: int) -> str:
        return f"{self._directory}/{webhook_id.replace('/', _SLASH)}.{number}"

    def _numbers(self, webhook_id: str) -> list[int]:
        prefix = f"{webhook_id.replace('/', _SLASH)}."
        try:
            names = os.listdir(self._directory)  # noqa: PTH208  the same
        except OSError:
            return []
        endings = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
        # What is not a number belongs to an id that goes on: `a+b.c.1` is no secret of `a/b`.
        return [int(it) for it in endings if it.isascii() and it.isdecimal() and len(it) <= _MOST_DIGITS]


class Removals:
    """What was removed through the API and is not yet done with: a file in the state directory for each.

    A crash between the removal of a definition and the end of its backlog must not leave a backlog that waits for
    ever, or for the next webhook of the same id.
    """

    def __init__(self, state_dir: str) -> None:
        self._directory = f"{os.path.abspath(state_dir)}/{_REMOVED}"  # noqa: PTH100  the same

    def begin(self, webhook_id: str) -> None:
        """Note that a definition is about to be removed. Raises OSError."""
        write_file(self._path(webhook_id), webhook_id.encode())

    def end(self, webhook_id: str) -> None:
        """Forget it: its backlog is ended, or it was not removed. Raises OSError."""
        remove_file(self._path(webhook_id))

    def pending(self) -> list[str]:
        """Give the ids that are noted."""
        try:
            names = os.listdir(self._directory)  # noqa: PTH208  the same
        except OSError:
            return []
        return sorted(name.replace(_SLASH, "/") for name in names if not name.startswith("."))

    def _path(self, webhook_id: str) -> str:
        return f"{self._directory}/{webhook_id.replace('/', _SLASH)}"


# --------------------------------------------------------------------------- what the files say together


def check_managed(webhooks: Iterable[Webhook], root: str | None, findings: Findings) -> None:
    """Refuse an id with a tenant outside the managed directory, or over a webhook of another tenant."""
    for webhook in webhooks:
        tenant = tenant_of(webhook.id)
        if tenant is None:
            continue
        if not is_inside(root, webhook.place.file):
            message = f"an id with a `/`, such as `{webhook.id}`, stands in files of `managed_dir` only"
            findings.report(webhook.place, message, "bad_name")
        elif webhook.tenant != tenant:
            message = f'the webhook `{webhook.id}` must have `tenant: "{tenant}"`, as its id says'
            findings.report(webhook.place, message, "bad_name")
