"""A webhook's definition as it is in force, in the words of the YAML: what people compare and look at.

Rules of this module:

1. It is whole: built-in values, defaults and profiles are in it, each under the key that would set it, and a quantity
   as the files write it (`5m`, not 300.0). So two definitions that do the same are written the same, whatever their
   files look like. What is absent or empty is left out.
2. A reference is shown as it stands. A literal where a secret may stand goes through `mask`, and never gets out.
   A URL shows neither user info nor query, as everywhere.
3. To compare what is masked, the mask itself tells whether two secrets are the same (`keyed_mask`): under a key that is
   made for one comparison, so that its marks mean nothing anywhere else.
4. What the files name and the config holds compiled (a schema) is shown by its digest.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from hookd.core.addresses import TargetInvalid, parse_target, tells_secret
from hookd.core.config import BasicAuth, BearerAuth, Reference
from hookd.core.proxies import parse_proxy
from hookd.core.units import DAY, GIB, HOUR, KIB, MIB, MINUTE, SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hookd.core.config import EventType, Text, Trigger, Validator, Webhook

MASK: Final = "***"
_MARKED: Final = re.compile(r"\*\*\*:[0-9a-f]{12}")

_DURATIONS: Final = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND))
_SIZES: Final = (("GiB", GIB), ("MiB", MIB), ("KiB", KIB))
_RATES: Final = (("s", SECOND), ("m", MINUTE), ("h", HOUR))
#: How far a number may be from a whole one and still be it: a thousandth of what people write.
_NEAR: Final = 1e-6


def plain_mask(_text: str) -> str:
    """Mask a literal without a trace."""
    return MASK


def keyed_mask(key: bytes) -> Callable[[str], str]:
    """Give a mask that is the same for equal texts, under a key of at most 64 bytes."""

    def mask(text: str) -> str:
        return f"{MASK}:{blake2b(text.encode('utf-8', 'surrogatepass'), key=key, digest_size=6).hexdigest()}"

    return mask


def strip_marks(text: str) -> str:
    """Give a text for people, without what `keyed_mask` has put there."""
    return _MARKED.sub(MASK, text)


# --------------------------------------------------------------------------- quantities


def format_duration(seconds: float) -> str:
    """Write a duration as the files do: `90s`, `5m`, `3d`, `250ms`."""
    if seconds == 0:
        return "0s"
    for unit, length in _DURATIONS:
        if _is_whole(seconds / length):
            return f"{round(seconds / length)}{unit}"
    return f"{round(seconds * 1000)}ms"


def format_size(count: int) -> str:
    """Write a size as the files do: `1MiB`, `500B`."""
    for unit, size in _SIZES:
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return f"{count}B"


def format_rate(per_second: float) -> str:
    """Write a rate as the files do: `50/s`, `100/h`."""
    for unit, length in _RATES:
        if _is_whole(per_second * length):
            return f"{round(per_second * length)}/{unit}"
    return f"{per_second:g}/s"


def _is_whole(number: float) -> bool:
    return number >= 1 - _NEAR and abs(number - round(number)) < _NEAR * max(1.0, number)


# --------------------------------------------------------------------------- texts


def write_text(text: Text, mask: Callable[[str], str]) -> object:
    """Give a reference as it stands, a literal masked."""
    return {str(text.kind): text.name} if isinstance(text, Reference) else mask(text)


def write_url(text: Text, mask: Callable[[str], str]) -> object:
    """Give a URL without its query; a mask that tells texts apart tells queries apart, too."""
    if isinstance(text, Reference):
        return write_text(text, mask)
    try:
        target = parse_target(text)
    except TargetInvalid:
        return mask(text)
    query = target.path.partition("?")[2]
    told = mask(query) if query else MASK
    return target.masked if told == MASK else f"{target.masked}?{told}"


def write_header(name: str, value: Text, mask: Callable[[str], str]) -> object:
    """Give a header's value: a literal stands in a file that others read, unless its name says that it should not."""
    return value if isinstance(value, str) and not tells_secret(name) else write_text(value, mask)


def write_proxy(text: Text | None, mask: Callable[[str], str]) -> object:
    """Give the URL of a proxy without its credentials, which are masked; None: there is none."""
    if text is None or isinstance(text, Reference):
        return None if text is None else write_text(text, mask)
    try:
        proxy = parse_proxy(text)
    except TargetInvalid:
        return mask(text)
    if proxy.authorization is None:
        return proxy.target.origin
    return f"{proxy.target.scheme}://{mask(proxy.authorization)}@{proxy.target.authority}"


# --------------------------------------------------------------------------- definitions


def write_definition(webhook: Webhook, mask: Callable[[str], str] = plain_mask) -> dict[str, object]:
    """Give a definition as a mapping of plain values, secrets masked, in the order in which people read it."""
    written: dict[str, object] = {
        "profile": webhook.profile,
        "name": webhook.name,
        "active": webhook.active,
        "paused": webhook.paused,
        "tenant": webhook.tenant,
        "url": write_url(webhook.url, mask),
        "method": webhook.method,
        "require_https": webhook.require_https,
        "events": [write_trigger(trigger) for trigger in webhook.triggers],
        "filter": None if webhook.filter is None else dict(webhook.filter.spec),
        "secrets": {name: write_text(value, mask) for name, value in webhook.secrets.items()},
        "body": _present(
            {
                "format": webhook.body.format,
                "template": webhook.body.template.written,
                "schema": write_schema(webhook.body.validator),
            }
        ),
        "headers": {name: write_header(name, value, mask) for name, value in webhook.headers},
        "auth": write_auth(webhook.auth, mask),
        "sign": webhook.sign
        and {"scheme": webhook.sign.scheme, "secrets": [write_text(each, mask) for each in webhook.sign.secrets]},
        "timeout": format_duration(webhook.timeout),
        "retry": _present(
            {
                "schedule": [format_duration(delay) for delay in webhook.retry.schedule],
                "jitter": webhook.retry.jitter,
                "max_age": None if webhook.retry.max_age is None else format_duration(webhook.retry.max_age),
                "permanent": sorted(webhook.retry.permanent),
            },
            "schedule",
        ),
        "rate": None if webhook.rate is None else format_rate(webhook.rate),
        "concurrency": webhook.concurrency,
        "ordered": webhook.ordered,
        "max_pending": webhook.max_pending,
        "suspend_after": "never" if webhook.suspend_after is None else format_duration(webhook.suspend_after),
        "allow_networks": [str(network) for network in webhook.allow_networks],
        "proxy": write_proxy(webhook.proxy, mask),
        "http2": webhook.http2,
        "tls": webhook.tls
        and _present(
            {
                "ca": webhook.tls.ca,
                "certificate": webhook.tls.certificate,
                "key": None if webhook.tls.key is None else write_text(webhook.tls.key, mask),
            }
        ),
        "test_event": None if webhook.test_event is None else dict(webhook.test_event),
        "tests": [
            {
                **({"name": test.name} if test.name else {}),
                "event": dict(test.event),
                "expect": test.expect,
                **({"body": test.body} if test.expects_body else {}),
            }
            for test in webhook.tests
        ],
    }
    return _present(written, "events")


def write_trigger(trigger: Trigger) -> object:
    """Give an entry of `events`."""
    return trigger.pattern if trigger.active else {"event": trigger.pattern, "active": False}


def write_event_type(entry: EventType) -> dict[str, object]:
    """Give an entry of the catalogue."""
    written = {
        "description": entry.description,
        "schema": write_schema(entry.validator),
        "require": list(entry.require),
    }
    return _present(written)


def write_schema(validator: Validator | None) -> str | None:
    """Give what tells a schema from another one: the digest of it and of all that it refers to."""
    if validator is None:
        return None
    return f"digest {str(getattr(validator, 'digest', 'unknown'))[:12]}"


def write_auth(auth: BearerAuth | BasicAuth | None, mask: Callable[[str], str]) -> object:
    """Give `auth` with what is secret of it masked; None: there is none. A literal user name is not."""
    if auth is None:
        return None
    if isinstance(auth, BearerAuth):
        return {"bearer": write_text(auth.token, mask)}
    username = auth.username if isinstance(auth.username, str) else write_text(auth.username, mask)
    return {"basic": {"username": username, "password": write_text(auth.password, mask)}}


def _present(written: Mapping[str, object], *kept: str) -> dict[str, object]:
    """Leave out what is absent or empty, but for the keys that are `kept`."""
    return {key: value for key, value in written.items() if key in kept or value not in (None, "", [], {})}
