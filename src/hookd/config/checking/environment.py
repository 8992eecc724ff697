"""What a config needs of the machine that it runs on: secrets, certificates, directories, accounts.

Rules of this module:

1. It looks and changes nothing: no file is made, no port opened, no host asked.
2. It judges for the user that runs it, since that is whom the kernel answers for: `sudo -u hookd hookd check
   --environment` asks for the daemon.
3. What can only be known elsewhere (a credential, which systemd gives to the unit alone) is a warning and no error.
4. A secret is read, judged for its use and forgotten; nothing of it is in a message.
"""

from __future__ import annotations

import grp
import os
import pwd
import ssl
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hookd.config.checking.advice import parse_files
from hookd.config.problems import Problem, did_you_mean
from hookd.config.references import SecretReader, SecretUnreadable
from hookd.config.text.written import Use, find_texts
from hookd.core.addresses import TargetInvalid, header_problem, parse_target
from hookd.core.config import Reference, ReferenceKind
from hookd.core.daemonconfig import UnixInlet
from hookd.core.proxies import parse_proxy
from hookd.core.signing import SecretInvalid, parse_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hookd.config.snapshot import Snapshot
    from hookd.config.text.document import Document
    from hookd.config.text.written import Written
    from hookd.core.config import Config, Text, Tls

_OTHERS_READ: Final = stat.S_IROTH
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_PUBLIC: Final = frozenset({Use.CERTIFICATE, Use.CA})


def check_environment(
    config: Config, snapshot: Snapshot, credentials_directory: str | None, environ: Mapping[str, str]
) -> list[Problem]:
    """Give what this machine lacks for a config, each at the place in the files that asks for it. Blocks."""
    documents = list(parse_files(snapshot))
    reader = SecretReader(credentials_directory, environ)
    found: list[Problem] = []
    for document in documents:
        for written in find_texts(document):
            found.extend(_check_text(written, reader, has_credentials=credentials_directory is not None))
    found.extend(_check_certificates(config, documents, reader))
    main = next(document for document in documents if document.file == snapshot.main)
    found.extend(_check_daemon(config, main))
    if config.managed_dir is not None:
        fault = _directory_fault(_first_missing(config.managed_dir))
        if fault is not None:
            found.append(Problem(main.place(("managed_dir",)), fault, "not_writable"))
    return found


# --------------------------------------------------------------------------- secrets


def _check_text(written: Written, reader: SecretReader, *, has_credentials: bool) -> Iterator[Problem]:
    text = written.text
    if not isinstance(text, Reference) or written.use in _PUBLIC:
        return
    if text.kind is ReferenceKind.CREDENTIAL and not has_credentials:
        message = f"the credential {text.name} is given to hookd's unit by systemd, and cannot be looked at from here"
        yield Problem(written.place, message, "secret_unchecked", severity="warning")
        return
    try:
        content = reader.read(text)
    except SecretUnreadable as error:
        yield Problem(written.place, str(error), "secret_unreadable")
        return
    if text.kind is ReferenceKind.FILE:
        yield from _check_mode(written, text.name)
    fault = _find_fault(written, content)
    if fault is not None:
        yield Problem(written.place, f"what {text.kind} {text.name} holds: {fault[1]}", fault[0])


def _find_fault(written: Written, content: str) -> tuple[str, str] | None:
    """Give the code and the words for a secret that its use cannot take; None: it can."""
    try:
        match written.use:
            case Use.SIGNING:
                parse_secret(content)
            case Use.URL:
                parse_target(content)
            case Use.PROXY:
                parse_proxy(content)
            case Use.BEARER if header_problem("authorization", f"Bearer {content}") is not None:
                return "bad_secret", "it has a character that cannot be sent in a header"
            case Use.HEADER if (problem := header_problem(written.name, content)) is not None:
                return "bad_header", problem
            case _:
                pass
    except SecretInvalid as error:
        return "bad_secret", str(error)
    except TargetInvalid as error:
        return "bad_url", str(error)
    return None


def _check_mode(written: Written, path: str) -> Iterator[Problem]:
    found = Path(path).stat()
    mode = stat.S_IMODE(found.st_mode)
    if mode & _OTHERS_READ:
        advice = "chmod g-w,o-rwx" if mode & stat.S_IWGRP else "chmod o-rwx"
        message = f"every user of this machine can read {path} (mode {mode:04o}): {advice}"
    elif mode & _OTHERS_WRITE:
        message = f"others than its owner can write {path} (mode {mode:04o}): chmod go-w"
    elif os.geteuid() != 0 and found.st_uid not in {0, os.geteuid()}:
        message = f"{path} belongs to another user ({_user_name(found.st_uid)}), who can change it"
    else:
        return
    yield Problem(written.place, message, "secret_exposed", severity="warning")


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


# --------------------------------------------------------------------------- TLS


def _check_certificates(config: Config, documents: list[Document], reader: SecretReader) -> Iterator[Problem]:
    """Load what each `tls:` names as the sender would; a fault is told where the file is named."""
    named = {
        (written.use, written.text.name): written.place
        for document in documents
        for written in find_texts(document)
        if written.use in _PUBLIC and isinstance(written.text, Reference)
    }
    seen: set[Tls] = set()
    for webhook in config.webhooks.values():
        tls = webhook.tls
        if tls is None or tls in seen:
            continue
        seen.add(tls)
        if tls.ca is not None and (fault := _try(ssl.create_default_context, cafile=tls.ca)) is not None:
            place = named.get((Use.CA, tls.ca), webhook.place)
            yield Problem(place, f"the trusted certificates in {tls.ca} cannot be used: {fault}", "bad_tls")
        if tls.certificate is not None and (fault := _try(_load_pair, tls.certificate, tls.key, reader)) is not None:
            place = named.get((Use.CERTIFICATE, tls.certificate), webhook.place)
            yield Problem(place, f"the certificate {tls.certificate} cannot be used: {fault}", "bad_tls")


def _try(load: Callable[..., object], *args: object, **named: object) -> str | None:
    """Give why OpenSSL does not take a file; None if it does."""
    try:
        load(*args, **named)
    except SecretUnreadable:
        return None  # that is told where the key is named
    except ssl.SSLError as error:
        return (error.reason or "it is not in PEM form").replace("_", " ").lower()
    except OSError as error:
        return (error.strerror or "it cannot be read").lower()
    except ValueError:
        return "it is not in PEM form"
    return None


def _load_pair(certificate: str, key: Text | None, reader: SecretReader) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    Path(certificate).open("rb").close()  # that it is not there comes before what is wrong with its key
    if key is None:
        context.load_cert_chain(certificate, password="")
        return
    # The key may come out of a variable; OpenSSL reads files, so it gets one that is in memory alone.
    with os.fdopen(os.memfd_create("hookd", os.MFD_CLOEXEC), "wb") as memory:
        memory.write(reader.read(key).encode())
        memory.flush()
        context.load_cert_chain(certificate, f"/proc/self/fd/{memory.fileno()}", password="")


# --------------------------------------------------------------------------- the daemon's own


def _check_daemon(config: Config, main: Document) -> Iterator[Problem]:
    daemon = config.daemon
    fault = _directory_fault(Path(daemon.state_dir))
    if fault is not None:
        yield Problem(main.place(("daemon", "state_dir")), fault, "not_writable")
    sockets: dict[tuple[str | int, ...], str] = {("daemon", "control", "unix"): daemon.control.unix}
    for index, inlet in enumerate(daemon.inlets):
        if isinstance(inlet, UnixInlet):
            sockets["daemon", "inlets", index, "unix"] = inlet.path
    for path, name in sockets.items():
        fault = _directory_fault(Path(name).parent)
        if fault is not None:
            yield Problem(main.place(path), f"a socket cannot be made here: {fault}", "not_writable")
    for index, inlet in enumerate(daemon.inlets):
        if not isinstance(inlet, UnixInlet) or inlet.allow is None:
            continue
        written = main.value["daemon"]["inlets"][index]["allow"]
        for number, entry in enumerate(inlet.allow):
            at: tuple[str | int, ...] = ("daemon", "inlets", index, "allow")
            if isinstance(written, list):  # else one entry stands without its list
                at = (*at, number)
            yield from _check_accounts(main, at, "user", entry.users, [each.pw_name for each in pwd.getpwall()])
            yield from _check_accounts(main, at, "group", entry.groups, [each.gr_name for each in grp.getgrall()])


def _first_missing(directory: str) -> Path:
    """Give the directory that is made first when one is made with all that is missing above it; else itself."""
    path = Path(directory).absolute()
    while not (os.path.exists(path) or os.path.exists(path.parent)):  # noqa: PTH110  what may not be looked at is an answer
        path = path.parent
    return path


def _directory_fault(directory: Path) -> str | None:
    """Say why hookd cannot make files in a directory. One that is missing it makes itself, not those above."""
    try:
        if not directory.exists():
            above = directory.parent
            if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
                return None
            return f"{directory} is not there, and cannot be made by {_user_name(os.geteuid())}"
        if not directory.is_dir():
            return f"{directory} is not a directory"
    except OSError as error:
        return f"{directory} cannot be looked at: {(error.strerror or 'unknown reason').lower()}"
    writable = os.access(directory, os.W_OK | os.X_OK)
    return None if writable else f"{directory} is not writable for {_user_name(os.geteuid())}"


def _check_accounts(
    main: Document, at: tuple[str | int, ...], noun: str, names: tuple[str, ...], known: list[str]
) -> Iterator[Problem]:
    for number, name in enumerate(names):
        if name in known or (name.isascii() and name.isdigit()):
            continue
        try:
            (pwd.getpwnam if noun == "user" else grp.getgrnam)(name)  # a directory service need not list all of them
        except KeyError:
            place = main.place((*at, f"{noun}s", number))
            hint = did_you_mean(name, known)
            yield Problem(place, f"there is no {noun} `{name}` on this machine", "unknown_account", hint=hint)
