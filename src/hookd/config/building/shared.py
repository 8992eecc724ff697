"""Parts of definitions that are equal, made once: most of 10,000 webhooks carry the same template and the same filter.

Rules of this module:

1. What is shared is frozen, and equal in every type that JSON has: `1`, `1.0` and `true` are three values, and the
   order of keys counts, since a body is written in it.
2. Nothing is kept alive here: when the last webhook that uses a template is gone, so is the template. So it may stay
   from one load to the next.
"""

from __future__ import annotations

import hashlib
import json
from ipaddress import ip_network
from typing import TYPE_CHECKING, TypeVar, cast
from weakref import WeakValueDictionary

from hookd.core.filters import Filter, compile_filter
from hookd.core.template import Template, compile_template

if TYPE_CHECKING:
    from collections.abc import Hashable

    from hookd.core.config import Network

_Value = TypeVar("_Value", bound="Hashable")


class Shared:
    """Makes templates, filters and other parts; `forget` when a load is over."""

    def __init__(self) -> None:
        self._templates: WeakValueDictionary[bytes, Template] = WeakValueDictionary()
        self._filters: WeakValueDictionary[bytes, Filter] = WeakValueDictionary()
        self._values: dict[Hashable, Hashable] = {}
        self._networks: dict[str, Network] = {}
        self._written: dict[int, tuple[tuple[Network, ...], list[str]]] = {}

    def template(self, node: object) -> Template:
        """Give the compiled template. Raises `TemplateInvalid`."""
        key = hash_exactly(node)
        known = self._templates.get(key)
        if known is None:
            known = self._templates[key] = compile_template(node)
        return known

    def filter(self, spec: object) -> Filter:
        """Give the compiled filter. Raises `FilterInvalid`."""
        key = hash_exactly(spec)
        known = self._filters.get(key)
        if known is None:
            known = self._filters[key] = compile_filter(spec)
        return known

    def network(self, text: str) -> Network:
        """Give the network that a text names. Raises `ValueError`."""
        known = self._networks.get(text)
        if known is None:
            known = self._networks[text] = ip_network(text)
        return known

    def written(self, networks: tuple[Network, ...]) -> list[str]:
        """Give the networks as texts, sorted."""
        if not networks:
            return []
        # By identity, since to hash one takes as long as to write it; `value` keeps alive what is asked for here.
        known = self._written.get(id(networks))
        if known is None or known[0] is not networks:
            known = self._written[id(networks)] = networks, sorted(map(str, networks))
        return known[1]

    def value(self, value: _Value) -> _Value:
        """Give the first of the values that are equal to this one: of a type that compares by all that it holds."""
        return cast("_Value", self._values.setdefault(value, value))

    def forget(self) -> None:
        """Forget what would be kept alive."""
        self._values = {}
        self._networks = {}
        self._written = {}


def hash_exactly(value: object) -> bytes:
    """Give 16 bytes that differ for JSON values which differ in anything, the order of their keys included."""
    return hashlib.blake2b(json.dumps(value).encode("ascii"), digest_size=16).digest()
