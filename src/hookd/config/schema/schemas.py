"""JSON Schemas, compiled for judging: what the config names and what these refer to, and nothing from elsewhere.

Rules of this module:

1. Nothing is fetched. A reference leads to a file beside or below the config or the schema, by its path or its `$id`;
   another one is a problem when the config is checked, not a request when an event comes.
2. Regular expressions run on an engine that is linear in time, so no payload can hang the daemon. What that engine
   lacks (look-around, back-references) is refused by name.
3. Formats are asserted: an author who writes `format: date-time` means it.
4. The value is masked inside the validator too, so that no text of a payload can come out of it.
5. jsonschema-rs judges; jsonschema explains what is wrong with a schema, because it names every fault of it.
"""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast

import jsonschema_rs

from hookd.config.problems import ConfigInvalid, Problem, did_you_mean
from hookd.config.schema import faults
from hookd.config.schema.schemafiles import SchemaFile, SchemaReference, find_fragment, parse_schema_file, path_of
from hookd.config.schema.shapes import Shape
from hookd.core.config import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hookd.core.config import Fault

_ENGINE: Final = jsonschema_rs.RegexOptions()
_LOOK_AROUND: Final = ("(?=", "(?!", "(?<=", "(?<!")
_MASK: Final = "***"
_DEFAULT_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"

#: Addresses of the drafts themselves: a schema of schemas may refer to them, and the validator carries them.
_DRAFTS: Final = ("http://json-schema.org/", "https://json-schema.org/")


class SchemaShelf(Protocol):
    """Where schema files are read from."""

    def read(self, path: str, named_at: Place) -> bytes:
        """Give the content of a file. Raises `ConfigInvalid`, at the place that names it, if it cannot be read."""

    def beside(self, path: str) -> Iterable[str]:
        """Give the schema files in the directory of a file, sorted; for finding one by its `$id`."""


class CompiledSchema:
    """A `core.config.Validator`. `digest` changes when the schema or anything that it refers to changes.

    `shape` tells what a valid value can have.
    """

    __slots__ = ("_is_valid", "_iter_errors", "_names", "digest", "shape")

    def __init__(self, validator: jsonschema_rs.Validator, names: faults.Names, digest: str, shape: Shape) -> None:
        self._is_valid = validator.is_valid
        self._iter_errors = validator.iter_errors
        self._names = names
        self.digest = digest
        self.shape = shape

    def fault(self, value: object) -> Fault | None:
        """Give the first fault of a parsed JSON value, or None if it is valid."""
        if self._is_valid(value):
            return None
        for error in self._iter_errors(value):
            return faults.explain(error, self._names)
        return None


_Closure: TypeAlias = "tuple[tuple[str, SchemaFile], ...]"


@dataclass(frozen=True, slots=True)
class KnownSchemas:
    """What a load found out about schema files, for the next one: those that were read, and what was compiled of them.

    A compiled schema is good for as long as every file that it was made of is the same.
    """

    files: Mapping[str, SchemaFile] = field(default_factory=dict)
    compiled: Mapping[str, tuple[_Closure, CompiledSchema]] = field(default_factory=dict)


class SchemaSet:
    """Compiles the schemas of one config, each file once, and collects what is wrong with them in `problems`.

    `tree` is the directory of the config: references may lead to files in it and beside the schema that the config
    names, and to no others. `known` is from an earlier load; `remember` gives it for the next.
    """

    def __init__(self, shelf: SchemaShelf, tree: str, known: KnownSchemas | None = None) -> None:
        self._shelf = shelf
        self._tree = tree
        self._known = known or KnownSchemas()
        self._parsed: dict[str, SchemaFile] = {}
        self._made: dict[str, tuple[_Closure, CompiledSchema]] = {}
        self._files: dict[str, SchemaFile | None] = {}
        self._compiled: dict[str, CompiledSchema | None] = {}
        self.problems: list[Problem] = []

    def remember(self) -> KnownSchemas:
        """Give what the next load may go on with."""
        return KnownSchemas(self._parsed, self._made)

    def compile(self, path: str, named_at: Place) -> CompiledSchema | None:
        """Give the schema in the file at an absolute path; None when there are problems with it, now in `problems`."""
        if path not in self._compiled:
            self._compiled[path] = self._compile(path, named_at)
        return self._compiled[path]

    def _compile(self, path: str, named_at: Place) -> CompiledSchema | None:
        root = self._open(path, named_at)
        if root is None:
            return None
        before = len(self.problems)
        resources = self._gather(root)
        closure = tuple(resources.items())
        made = self._known.compiled.get(path)
        if len(self.problems) == before and made is not None and _is_same(made[0], closure):
            self._made[path] = made
            return made[1]
        for file in {file.path: file for file in resources.values()}.values():
            self._check(file)
        if len(self.problems) > before:
            return None
        compiled = self._make(root, resources)
        if compiled is not None:
            self._made[path] = closure, compiled
        return compiled

    def _make(self, root: SchemaFile, resources: Mapping[str, SchemaFile]) -> CompiledSchema | None:
        try:
            registry = jsonschema_rs.Registry([(address, file.value) for address, file in resources.items()])
            validator = jsonschema_rs.validator_for(
                root.value,
                base_uri=root.address,
                registry=registry,
                offline=True,
                validate_formats=True,
                pattern_options=_ENGINE,
                mask=_MASK,
            )
        except ValueError as error:  # ValidationError is one
            message = error.message if isinstance(error, jsonschema_rs.ValidationError) else str(error)
            self._report(root.place(()), f"the schema cannot be compiled: {message}")
            return None
        closure = sorted(resources.items())
        known = frozenset[str]().union(*(file.names for _, file in closure))
        by_pattern = any("patternProperties" in at for _, file in closure for _, at in file.patterns)
        digest = hashlib.blake2b(digest_size=16)
        for address, file in closure:
            digest.update(f"{address}\n{len(file.content)}\n".encode())
            digest.update(file.content)
        shape = Shape(root.address, {address: file.value for address, file in closure})
        return CompiledSchema(validator, faults.Names(known, by_pattern), digest.hexdigest(), shape)

    # ----------------------------------------------------------------- what a schema refers to

    def _gather(self, root: SchemaFile) -> dict[str, SchemaFile]:
        """Give every file that a schema needs, by the address it is asked for under."""
        resources = {root.address: root}
        waiting = [root]
        while waiting:
            file = waiting.pop()
            for reference in file.references:
                if reference.address == file.address or reference.address in file.ids:
                    continue
                if reference.address in resources or reference.address.startswith(_DRAFTS):
                    continue
                target = self._find(file, reference, root)
                if target is not None:
                    resources[reference.address] = target
                    if target.address not in resources:
                        resources[target.address] = target
                    waiting.append(target)
        return resources

    def _find(self, file: SchemaFile, reference: SchemaReference, root: SchemaFile) -> SchemaFile | None:
        place = file.place(reference.at)
        path = path_of(reference.address)
        if path is None:
            by_id = self._find_by_id(file, root, reference.address)
            if by_id is not None:
                return by_id
            if ":" in reference.written.split("/", 1)[0] or reference.written.startswith("//"):
                self._report(
                    place,
                    f"`{reference.written}` is not a schema of this config, and references are never fetched:"
                    " put the schema beside this one and refer to it by its path or its $id",
                )
                return None
            # A relative reference in a schema that has an `$id`: what people mean is the file beside it.
            path = posixpath.join(posixpath.dirname(file.path), reference.written.split("#", 1)[0])
        path = posixpath.normpath(path)
        if not any(_is_within(path, tree) for tree in (self._tree, posixpath.dirname(root.path))):
            self._report(place, f"`{reference.written}` leads out of the config's directory")
            return None
        return self._open(path, place)

    def _find_by_id(self, file: SchemaFile, root: SchemaFile, address: str) -> SchemaFile | None:
        for known in self._files.values():
            if known is not None and address in known.ids:
                return known
        for beside in dict.fromkeys((*self._shelf.beside(file.path), *self._shelf.beside(root.path))):
            try:
                content = self._shelf.read(beside, Place(file=beside))
                candidate = self._files.get(beside) or self._parse(beside, content)
            except ConfigInvalid:
                continue  # nobody named it, so it need not be a schema
            if address in candidate.ids:
                self._files[beside] = candidate
                return candidate
        return None

    def _open(self, path: str, named_at: Place) -> SchemaFile | None:
        if path not in self._files:
            self._files[path] = None
            try:
                self._files[path] = self._parse(path, self._shelf.read(path, named_at))
            except ConfigInvalid as error:
                self.problems.extend(error.problems)
        return self._files[path]

    def _parse(self, path: str, content: bytes) -> SchemaFile:
        file = self._parsed.get(path) or self._known.files.get(path)
        if file is None or file.content != content:
            file = parse_schema_file(path, content)
        self._parsed[path] = file
        return file

    # ----------------------------------------------------------------- what may be wrong with one

    def _check(self, file: SchemaFile) -> None:
        value = file.value
        if isinstance(value, bool):
            return
        from jsonschema import validators  # takes 60 ms, which a config without schemas need not wait for

        draft = value.get("$schema", _DEFAULT_DRAFT)
        judge = validators.validator_for({"$schema": str(draft)}, default=validators.Draft202012Validator)
        if judge is validators.Draft202012Validator and str(draft).rstrip("#") != _DEFAULT_DRAFT:
            self._report(
                file.place(("$schema",)), "unknown draft of JSON Schema; 2020-12, 2019-09, 7, 6 and 4 are known"
            )
            return
        for error in judge(judge.META_SCHEMA).iter_errors(cast("Any", value)):
            best = error
            while best.context:
                best = max(best.context, key=lambda inner: (len(inner.absolute_path), inner.validator != "type"))
            place, message = file.place(tuple(error.absolute_path)), f"not a JSON Schema: {faults.tell_rule(best)}"
            allowed = cast("list[object]", best.validator_value) if best.validator == "enum" else []
            known = [each for each in allowed if isinstance(each, str)]
            hint = did_you_mean(best.instance, known) if isinstance(best.instance, str) else None
            self.problems.append(Problem(place, message, "bad_schema", hint=hint))
        for pattern, at in file.patterns:
            if not _compiles(pattern):
                self._report(file.place(at), _pattern_fault(pattern))
        for reference in file.references:
            local = reference.address == file.address and reference.fragment.startswith("/")
            if local and not find_fragment(value, reference.fragment):
                self._report(file.place(reference.at), f"there is nothing at `{reference.written}`")

    def _report(self, place: Place, message: str, code: str = "bad_schema") -> None:
        self.problems.append(Problem(place, message, code))


def _is_same(one: _Closure, other: _Closure) -> bool:
    """Whether two are of the same files, which stay the same objects for as long as their content does."""
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all(left[0] == right[0] and left[1] is right[1] for left, right in pairs)


def _is_within(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")


def _compiles(pattern: str) -> bool:
    try:
        jsonschema_rs.validator_for({"pattern": pattern}, offline=True, pattern_options=_ENGINE)
    except ValueError:
        return False
    return True


def _pattern_fault(pattern: str) -> str:
    if any(begin in pattern for begin in _LOOK_AROUND):
        return "the pattern uses look-around, which the linear-time regular expressions here do not have"
    if any(f"\\{digit}" in pattern for digit in "123456789"):
        return "the pattern uses a back-reference, which the linear-time regular expressions here do not have"
    return "the pattern is not a regular expression (RE2's syntax)"
