"""The JSON Schema files of a config: read strictly, with what each refers to.

Rules of this module:

1. A schema file is JSON, or YAML by its name (`.yaml`, `.yml`). The same key twice is refused, as everywhere.
2. A `$ref` is found by walking what are schemas: what stands under `enum`, `const`, `default` and `examples` is data.
3. The address of a file is made from its path and lies in a domain that cannot exist (RFC 6761, `.invalid`), so that
   relative references resolve as RFC 3986 says and nothing of it can be fetched.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import quote, unquote, urldefrag, urljoin

from hookd.config.problems import ConfigInvalid, Problem
from hookd.config.text.jsonplaces import key_place_in_json, place_in_json, place_of_offset
from hookd.config.text.strictyaml import parse_yaml
from hookd.core.config import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

Steps = tuple[str | int, ...]

ADDRESS: Final = "http://config.invalid"
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_BY_NAME: Final = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)
_DATA: Final = frozenset({"enum", "const", "default", "examples", "example"})
_LIMIT: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaReference:
    """A reference as it is written, where, and the address it means, without fragment, and the fragment."""

    written: str
    at: Steps
    address: str
    fragment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFile:
    """A schema file that was read: its value, and what stands in it.

    `ids` are the addresses that it and its parts give themselves; `names` the property names that it names;
    `patterns` the regular expressions in it, with where they stand.
    """

    path: str
    content: bytes
    value: dict[str, object] | bool
    references: tuple[SchemaReference, ...]
    ids: frozenset[str]
    names: frozenset[str]
    patterns: tuple[tuple[str, Steps], ...]

    @property
    def address(self) -> str:
        """The address of the file itself."""
        return address_of(self.path)

    def place(self, at: Steps) -> Place:
        """Give where the value at `at` stands, or the nearest around it."""
        if _is_yaml(self.path):  # parsed again: its nodes take 60 times as much memory as the text
            return parse_yaml(self.content, self.path).place(at)
        return place_in_json(self.content.decode("utf-8-sig"), self.path, at)

    def key_place(self, at: Steps) -> Place:
        """Give where the key of the value at `at` stands."""
        if _is_yaml(self.path):
            return parse_yaml(self.content, self.path).key_place(at)
        return key_place_in_json(self.content.decode("utf-8-sig"), self.path, at)


def address_of(path: str) -> str:
    """Give the address that stands for a file, from its absolute path."""
    return ADDRESS + quote(path)


def _is_yaml(path: str) -> bool:
    return path.endswith((".yaml", ".yml"))


def path_of(address: str) -> str | None:
    """Give the path of the file that an address stands for; None if it is somebody else's address."""
    return unquote(address.removeprefix(ADDRESS)) if address.startswith(ADDRESS + "/") else None


def parse_schema_file(path: str, content: bytes) -> SchemaFile:
    """Read a schema file. Raises `ConfigInvalid`."""
    value = parse_yaml(content, path).value if _is_yaml(path) else _parse_json(path, content)
    if not isinstance(value, dict | bool):
        _refuse(Place(file=path), "a JSON Schema is an object, or true or false")
    references: list[SchemaReference] = []
    patterns: list[tuple[str, Steps]] = []
    ids: set[str] = set()
    names: set[str] = set()
    for schema, at, base in _schemas_in(value, (), address_of(path)):
        if base != address_of(path):
            ids.add(base)
        names.update(_names_in(schema))
        patterns.extend(_patterns_in(schema, at))
        for keyword in _REFERENCES:
            written = schema.get(keyword)
            if isinstance(written, str):
                address, fragment = urldefrag(urljoin(base, written))
                references.append(
                    SchemaReference(written=written, at=(*at, keyword), address=address, fragment=fragment)
                )
    return SchemaFile(
        path=path,
        content=content,
        value=value,
        references=tuple(references),
        ids=frozenset(ids),
        names=frozenset(names),
        patterns=tuple(patterns),
    )


def find_fragment(value: object, fragment: str) -> bool:
    """Whether a JSON Pointer in a fragment (RFC 6901, section 6) leads somewhere. Anchors are not looked for."""
    for step in (part.replace("~1", "/").replace("~0", "~") for part in unquote(fragment).split("/")[1:]):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return False
    return True


def _schemas_in(value: object, at: Steps, base: str) -> Iterator[tuple[dict[str, object], Steps, str]]:
    """Give every schema in a value, outermost first, with where it is and the address that its references start at."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _schemas_in(item, (*at, index), base)
    if not isinstance(value, dict):
        return
    named = value.get("$id")
    if isinstance(named, str) and not named.startswith("#"):
        base = urldefrag(urljoin(base, named))[0]
    yield value, at, base
    for key, inner in value.items():
        if key in _BY_NAME and isinstance(inner, dict):
            for name, schema in inner.items():
                yield from _schemas_in(schema, (*at, key, name), base)
        elif key not in _DATA:
            yield from _schemas_in(inner, (*at, key), base)


def _names_in(schema: dict[str, object]) -> Iterator[str]:
    for keyword in ("properties", "dependentRequired", "dependentSchemas", "dependencies"):
        inner = schema.get(keyword)
        if isinstance(inner, dict):
            yield from inner
            for names in inner.values():
                if isinstance(names, list):
                    yield from (name for name in names if isinstance(name, str))
    required = schema.get("required")
    if isinstance(required, list):
        yield from (name for name in required if isinstance(name, str))


def _patterns_in(schema: dict[str, object], at: Steps) -> Iterator[tuple[str, Steps]]:
    pattern = schema.get("pattern")
    if isinstance(pattern, str):
        yield pattern, (*at, "pattern")
    by_pattern = schema.get("patternProperties")
    if isinstance(by_pattern, dict):
        yield from ((key, (*at, "patternProperties", key)) for key in by_pattern)


class _NotStrictError(ValueError):
    """The decoder would take it and JSON does not; the message says what."""


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise _NotStrictError(f"an object of the schema has the key `{twice}` twice")
    return result


def _no_constant(name: str) -> NoReturn:
    raise _NotStrictError(f"{name} is not JSON")


def _say_not_json(text: str, error: json.JSONDecodeError) -> str:
    """Say it in the words of who wrote the file, of what is most often written that JSON does not have."""
    rest = text[error.pos : error.pos + 2]
    if rest in {"//", "/*"} or rest.startswith("#"):
        return "it has no comments"
    if rest.startswith("'"):
        return "its texts and names stand in double quotes"
    if rest[:1] in {"}", "]"} and text[: error.pos].rstrip().endswith(","):
        return "a comma stands before this, and nothing follows it"
    return error.msg[:1].lower() + error.msg[1:]


def _parse_json(path: str, content: bytes) -> object:
    here = Place(file=path)
    if len(content) > _LIMIT:
        _refuse(here, "the schema is larger than 1 MiB", "too_large")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        _refuse(here, "the schema is not UTF-8", "not_utf8")
    try:
        value: object = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        _refuse(place_of_offset(text, path, error.pos), f"this is not JSON: {_say_not_json(text, error)}")
    except _NotStrictError as error:
        _refuse(here, str(error))
    except RecursionError:
        _refuse(here, "the schema is nested too deeply", "too_deep")
    except ValueError:
        _refuse(here, "the schema holds a number that is far too long", "bad_number")
    return value


def _refuse(place: Place, message: str, code: str = "bad_schema") -> NoReturn:
    raise ConfigInvalid([Problem(place, message, code)])
