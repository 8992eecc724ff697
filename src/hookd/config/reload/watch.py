"""Noticing that files of the config may have changed: a source of hints, never of truth.

Rules of this module:

1. A hint says "look again" and nothing else. What changed is found by reading; events are merged, late, or lost (the
   kernel's queue overflows silently), and a sweep makes up for them.
2. Directories are watched, not files: a save by renaming leaves a watched file behind. Only those that can hold a file
   of the config are, one level each, so that a `.git`, a virtual environment or the outbox beside it cost nothing.
3. Whoever publishes by a symbolic link (`..data`, `current`) or replaces the whole directory changes a name in a
   directory above. These names are watched as well.
4. When what is to be watched changes, a new watch begins, and then everything is looked at once more: what happened
   between the two was seen by neither.
5. A watch that dies is told and begun again; one that keeps dying, or for which the kernel has nothing left, becomes
   a poll, and that is told (`config.polling`), until it can be had again (`config.watching`). So is that there are more
   directories than we watch. A name that is no UTF-8 kills the backend, and is a hint like any other: no death.
6. What git writes when the work tree comes to stand at another commit counts: what runs may have a commit since.
"""

from __future__ import annotations

import math
import os
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
import trio
from watchfiles._rust_notify import RustNotify

from hookd.config.beside import beside_others, give_way
from hookd.config.git import find_git_directory, list_heads
from hookd.config.patterns import RealPaths, is_pattern, pattern_root
from hookd.config.problems import ConfigInvalid
from hookd.config.text.strictyaml import parse_anyway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hookd.config.snapshot import Snapshot

log = structlog.get_logger()

#: Milliseconds: a batch ends after a step without an event, or after this long.
_BATCH_MS: Final = 20
_STEP_MS: Final = 25
#: The thread looks up this often although nothing happened, so that it never outlives us for longer.
_TURN_MS: Final = 10_000
_POLL_MS: Final = 500
#: Then it is tried to watch again: who had taken the watches may have given them back.
_POLL_AT_MOST_S: Final = 60.0
_RETRY_S: Final = 1.0
_GONE_S: Final = 0.05
_DEATHS: Final = 3
#: More directories than this are left to a quick sweep; inotify allows a user 8,192 watches on small machines.
_MOST: Final = 4096
CROWDED_SWEEP_S: Final = 2.0
#: The kernel queues 16,384 events and drops the rest; the backend does not tell. So many at once are a hint as such.
_FLOOD: Final = 1000
#: What the backend says when the kernel has no watches or no instances left, which trying again does not mend.
_NOTHING_LEFT: Final = ("watch limit", "os error 24", "os error 28")
#: What it says from then on when something has happened to a name that is no UTF-8.
_UNNAMED: Final = "Unable to decode path"
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json", ""})
_ADDED: Final = 1  # watchfiles.Change.added
_MODIFIED: Final = 2  # watchfiles.Change.modified


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchPlan:
    """What to watch: `directories` by their absolute paths, in which files count by their suffix, and single `names`.

    `suffixes` are those of the files of the config. `watched` are all directories to watch, with what tells one from
    another that has taken its name. `crowded`: there are more directories than are watched. `bare`: some file of the
    config has no suffix.
    """

    directories: frozenset[str]
    names: frozenset[str]
    suffixes: frozenset[str]
    watched: Mapping[str, tuple[int, int]]
    crowded: bool = False
    bare: bool = False

    def counts(self, path: str) -> bool:
        """Whether an event at this path may mean a change of the config."""
        # A directory that goes away or comes back is told by its own name, which may be any: `webhooks.d`.
        if path in self.names or path in self.directories:
            return True
        directory, _, name = path.rpartition("/")
        if directory not in self.directories:
            return False
        # `..data` and `..2026_11_21` are how Kubernetes publishes; other names with a dot before them are editors'.
        return name.startswith("..") or (not name.startswith(".") and os.path.splitext(name)[1] in self.suffixes)  # noqa: PTH122

    def means(self, event: tuple[int, str]) -> bool:
        """Whether an event, its kind and its path, may mean a change of the config."""
        kind, path = event
        if not self.counts(path):
            return kind == _ADDED and self._is_new_directory(path)
        # What has no suffix is a directory or a link, and these come and go. What is written to is somebody's log.
        written = kind == _MODIFIED and path not in self.names and "." not in path.rpartition("/")[2]
        return not written or self.bare or os.path.isdir(path)  # noqa: PTH112  a text

    def _is_new_directory(self, path: str) -> bool:
        """Whether a directory of any name (`v1.2`) stands now where there may be files of the config below it."""
        directory, _, name = path.rpartition("/")
        return directory in self.directories and not name.startswith(".") and os.path.isdir(path)  # noqa: PTH112  a text


@beside_others()
def plan_watch(main: str, snapshot: Snapshot | None, missing: Iterable[str] = ()) -> WatchPlan:
    """Find out what to watch for the config of `main`, whose files are those of `snapshot`. Blocks.

    `missing` are files that are named and not there; they may come.
    """
    directories: set[str] = set()
    names: set[str] = set()
    files = [main, *missing, *(() if snapshot is None else snapshot.files)]
    paths = RealPaths()
    above: dict[str, str] = {}  # thousands of files lie in one directory
    taken: set[str] = set()
    for path in files:
        give_way()
        start = path.rfind("/") + 1
        if path[:start] not in above:
            above[path[:start]] = os.path.abspath(path[:start]).rstrip("/")  # noqa: PTH100  links stay
        absolute = f"{above[path[:start]]}/{path[start:]}"
        for each in (absolute, paths.real(absolute)):
            if (directory := each.rpartition("/")[0]) not in taken:
                taken.add(directory)
                _take(each, directories, names)
    top = os.path.dirname(os.path.abspath(main))  # noqa: PTH100, PTH120  the same
    names.add(top)
    for directory in _pattern_directories(main, snapshot):
        _take(os.path.join(os.path.abspath(directory), "x"), directories, names)  # noqa: PTH100, PTH118
    kept = frozenset(sorted(directories)[:_MOST])
    git = find_git_directory(Path(os.path.realpath(main)).parent)
    names.update(() if git is None else list_heads(git))
    names.discard("/")
    suffixes = {os.path.splitext(path)[1] for path in files}  # noqa: PTH122
    return WatchPlan(
        directories=kept,
        names=frozenset(names),
        suffixes=_SUFFIXES | suffixes,
        watched=_identify(kept | {os.path.dirname(name) for name in names}),  # noqa: PTH120
        crowded=len(directories) > len(kept),
        bare="" in suffixes,
    )


def _identify(directories: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Give device and inode of those that are directories."""
    found: dict[str, tuple[int, int]] = {}
    for directory in sorted(directories):
        try:
            status = os.stat(directory)  # noqa: PTH116
        except OSError:
            continue
        # What we may not read cannot be watched, and would keep all the others from it.
        if stat.S_ISDIR(status.st_mode) and os.access(directory, os.R_OK) and _is_utf8(directory):
            found[directory] = status.st_dev, status.st_ino
    return found


def _is_utf8(path: str) -> bool:
    """Whether the backend, which takes texts, can be told of a path."""
    return not any("\ud800" <= character <= "\udfff" for character in path)


def _take(path: str, directories: set[str], names: set[str]) -> None:
    """Plan for one file: its directory, or the nearest above it that exists, and every link on the way to it."""
    directory = os.path.dirname(path)  # noqa: PTH120
    if directory in directories:
        return
    if os.path.isdir(directory):  # noqa: PTH112
        directories.add(directory)
    above = directory
    while above != "/":
        parent = os.path.dirname(above)  # noqa: PTH120
        if os.path.islink(above) or (not os.path.lexists(above) and os.path.isdir(parent)):  # noqa: PTH112, PTH114
            names.add(above)
        above = parent


def _pattern_directories(main: str, snapshot: Snapshot | None) -> Iterator[str]:
    """Give the directories in which an entry of `include:` may find a new file."""
    if snapshot is None:
        return
    include, managed = _read_main(snapshot.files[main])
    beside = os.path.dirname(main) or "."  # noqa: PTH120
    for entry in include:
        steps = [step for step in entry.split("/")[:-1] if step not in {"", "."}]
        fixed = next((at for at, step in enumerate(steps) if is_pattern(step)), len(steps))
        yield from _below(pattern_root(beside, entry), _MOST if "**" in steps else len(steps) - fixed)
    if managed is not None:
        yield os.path.join(beside, managed)  # noqa: PTH118


@lru_cache(maxsize=1)
def _read_main(content: bytes) -> tuple[tuple[str, ...], str | None]:
    """Give the patterns of `include` and the managed directory, as a main file names them."""
    try:
        value = parse_anyway(content, "").value
    except ConfigInvalid:
        return (), None
    include = value.get("include") if isinstance(value, dict) else None
    managed = value.get("managed_dir") if isinstance(value, dict) else None
    entries = include if isinstance(include, list) else ()
    patterns = tuple(entry for entry in entries if isinstance(entry, str) and is_pattern(entry))
    return patterns, managed if isinstance(managed, str) else None


def _below(directory: str, depth: int) -> Iterable[str]:
    """Give a directory and those below it, without hidden ones; at most as many as may be watched."""
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    waiting = [(directory, depth)]
    while waiting and len(found) <= _MOST:
        here, left = waiting.pop()
        found.append(here)
        try:
            status = os.stat(here)  # noqa: PTH116
            if left == 0 or (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(here) as entries:
                inner = [it.path for it in entries if not it.name.startswith(".") and it.is_dir()]
        except OSError:
            continue
        waiting.extend((path, left - 1) for path in inner)
    return found


class Watch:
    """Watches the files of one config. `plan` finds out what to watch, in a thread; `hint` takes the hints."""

    def __init__(self, plan: Callable[[], WatchPlan], hint: Callable[[], None]) -> None:
        self._ask_plan = plan
        self._hint = hint
        self._plan: WatchPlan | None = None
        self._stale = False  # a directory that is watched came or went: the kernel may watch what was moved away
        self._stop = trio.Event()
        self._polls = False  # since the files cannot be watched

    @property
    def crowded(self) -> bool:
        """Whether some directories are not watched, since there are too many."""
        return self._plan is not None and self._plan.crowded

    async def serve(self) -> None:
        """Watch until cancelled; the end takes one step, since the thread that waits for events cannot be cancelled."""
        deaths = 0
        while True:
            self._stop = trio.Event()
            self._stale = False
            plan = await self._make_plan()
            if plan.crowded and not self.crowded:
                self._tell_polling(f"more than {_MOST} directories may hold files of the config", CROWDED_SWEEP_S)
            self._plan = plan
            began = trio.current_time()
            polls = deaths >= _DEATHS
            error = await self._watch(plan, self._stop, polling=polls)
            lived = trio.current_time() - began
            if error is None:
                deaths -= polls  # something else is to be watched now, or it is time to see whether it can be
                continue
            if _UNNAMED in str(error):
                await trio.sleep(max(0.0, _RETRY_S - lived))  # somebody may write to it all the time
                continue
            if isinstance(error, FileNotFoundError):
                await trio.sleep(_GONE_S)  # a directory went away since the plan was made
                continue
            message = str(error).partition(" about ")[0]
            deaths = 1 if lived > _RETRY_S * _DEATHS else deaths + 1
            if polls or any(each in message for each in _NOTHING_LEFT):
                deaths = _DEATHS
            if polls or not self._polls:
                log.warning("watch.failed", error=type(error).__name__, message=message, polling=deaths >= _DEATHS)
            if deaths >= _DEATHS and not self._polls:
                self._polls = True
                self._tell_polling(f"the files cannot be watched: {message}", _POLL_MS / 1000)
            if polls or deaths < _DEATHS:
                await trio.sleep(_RETRY_S)

    def _tell_polling(self, reason: str, seconds: float) -> None:
        log.warning("config.polling", reason=reason, seconds=seconds)

    async def renew(self) -> None:
        """Begin another watch if something else is to be watched now than when this one began, or the same anew."""
        if self._plan is not None and (self._stale or await self._make_plan() != self._plan):
            self._stop.set()

    async def _make_plan(self) -> WatchPlan:
        return await trio.to_thread.run_sync(self._ask_plan, abandon_on_cancel=True)

    async def _watch(self, plan: WatchPlan, stop: trio.Event, *, polling: bool) -> Exception | None:
        """Watch until `stop` is set; give why it ended before, if it did."""
        try:
            # Its last argument says to ignore what is forbidden, and ignores having no watches left as well.
            watcher = RustNotify(list(plan.watched), False, polling, _POLL_MS, False, False)  # noqa: FBT003  it takes them by position
        except (OSError, RuntimeError) as error:  # its own WatchfilesRustInternalError is a RuntimeError
            return error
        failure: Exception | None = None
        if self._polls and not polling:
            self._polls = False
            log.info("config.watching")
        with watcher:
            self._hint()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_set_at_the_end, stop, _POLL_AT_MOST_S if polling else math.inf)
                while not stop.is_set():
                    try:
                        found = await trio.to_thread.run_sync(watcher.watch, _BATCH_MS, _STEP_MS, _TURN_MS, stop)
                    except (OSError, RuntimeError) as error:
                        failure = error
                        break
                    if not isinstance(found, set):
                        continue
                    moved = any(kind != _MODIFIED and path in plan.watched for kind, path in found)
                    self._stale = self._stale or moved
                    if moved or len(found) >= _FLOOD or any(map(plan.means, found)):
                        self._hint()
                nursery.cancel_scope.cancel()
        return failure


async def _set_at_the_end(stop: trio.Event, after: float) -> None:
    """Set `stop`, which the thread looks at, when the watch is cancelled or has lasted so long, in seconds."""
    try:
        with trio.move_on_after(after):
            await stop.wait()
    finally:
        stop.set()
