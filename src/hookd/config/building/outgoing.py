"""What decides a webhook's requests: where they go, what they carry, how they are secured.

Rules of this module:

1. What stands in the files is checked here, so that a mistake shows before the first delivery. What stands behind a
   reference can only be checked at use, and is.
2. No message shows a secret, a URL or a header value: a URL may carry a token.
3. All of this, and nothing else, makes the fingerprint: when it changes, the webhook gets a fresh start.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from ipaddress import IPv6Network, ip_network
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from hookd.config.building.dollars import place_named, place_numbered
from hookd.config.meant import tell_odd
from hookd.config.problems import did_you_mean
from hookd.config.schema.schemas import CompiledSchema
from hookd.core.addresses import TargetInvalid, header_problem, parse_target
from hookd.core.config import BasicAuth, BearerAuth, Body, Reference, ReferenceKind, Sign, Tls
from hookd.core.proxies import parse_proxy
from hookd.core.signing import SecretInvalid, parse_secret
from hookd.core.template import DEFAULT_TEMPLATE, TemplateInvalid, compile_template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hookd.config.building.reader import Reader
    from hookd.config.building.shared import Shared
    from hookd.config.schema.schemas import SchemaSet
    from hookd.core.config import Network, Text

_FORMATS: Final[tuple[Literal["json", "form"], ...]] = ("json", "form")
_METHODS: Final[tuple[Literal["POST", "PUT", "PATCH"], ...]] = ("POST", "PUT", "PATCH")
_DEFAULT: Final = compile_template(DEFAULT_TEMPLATE)
_BODY: Final = Body(template=_DEFAULT)  # of a webhook that says nothing about it
_NONE: Final[Mapping[str, Text]] = MappingProxyType({})
#: The bits before the IPv4 address in an IPv4-mapped one.
_MAPPED_BITS: Final = 96
_PEM: Final = "-----BEGIN "

#: What people write when they think that a value is a template. Sent as it is, it would be somebody's bug for weeks.
_TEMPLATE: Final = "$("
_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """The parts of a `core.config.Webhook` that decide a request, and their fingerprint."""

    url: Text
    require_https: bool
    secrets: Mapping[str, Text]
    body: Body
    headers: tuple[tuple[str, Text], ...]
    auth: BearerAuth | BasicAuth | None
    sign: Sign | None
    method: Literal["POST", "PUT", "PATCH"]
    allow_networks: tuple[Network, ...]
    proxy: Text | None
    http2: bool
    tls: Tls | None
    fingerprint: str


def build_outgoing(reader: Reader, schemas: SchemaSet, shared: Shared) -> Outgoing:
    """Build these parts from a merged definition; problems go to the reader's findings."""
    value = reader.value  # most keys are absent in most definitions, and there are thousands of these
    secrets = _texts(reader, "secrets") if "secrets" in value else _NONE
    sign = shared.value(_build_sign(reader)) if "sign" in value else None
    auth = shared.value(_build_auth(reader)) if "auth" in value else None
    body = shared.value(_build_body(reader, frozenset(secrets), schemas, shared)) if "body" in value else _BODY
    url = _build_url(reader)
    proxy = _build_proxy(reader) if "proxy" in value else None
    tls = _build_tls(reader) if "tls" in value else None
    headers = _build_headers(reader, has_auth=auth is not None) if "headers" in value else ()
    networks = shared.value(_build_networks(reader, shared)) if "allow_networks" in value else ()
    decisive = {
        "url": _plain(url),
        "auth": None if auth is None else _plain_auth(auth),
        "sign": None if sign is None else [sign.scheme, *map(_plain, sign.secrets)],
        "headers": [[name, _plain(value)] for name, value in headers],
        "body": [
            body.format,
            None if body is _BODY else reader.find("body", "template"),
            body.validator.digest if isinstance(body.validator, CompiledSchema) else None,
        ],
        "secrets": {name: _plain(value) for name, value in secrets.items()},
        "tls": None if tls is None else [tls.ca, tls.certificate, _plain(tls.key)],
        "proxy": _plain(proxy),
        "allow_networks": shared.written(networks),
    }
    return Outgoing(
        url=url,
        require_https="require_https" in value and reader.boolean("require_https", default=False),
        secrets=MappingProxyType(secrets) if secrets else _NONE,
        body=body,
        headers=headers,
        auth=auth,
        sign=sign,
        method=reader.choice(_METHODS, "method", default="POST") if "method" in value else "POST",
        allow_networks=networks,
        proxy=proxy,
        http2="http2" in value and reader.boolean("http2", default=False),
        tls=tls,
        fingerprint=hash_json(decisive),
    )


def _build_url(reader: Reader) -> Text:
    url = reader.text("url")
    if isinstance(url, str):
        try:
            target = parse_target(url)
        except TargetInvalid as error:
            reader.refuse(("url",), f"{error}{tell_odd(url)}", "bad_url")
        else:
            if target.scheme != "https" and reader.find("require_https") is True:
                reader.refuse(("url",), "the URL must begin with https://, because `require_https` is set", "bad_url")
            if _TEMPLATE in url:
                reader.refuse(("url",), "a template stands in `body` only; a URL is what it says", "bad_url")
    return url or ""


def _build_proxy(reader: Reader) -> Text | None:
    proxy = reader.text("proxy")
    if isinstance(proxy, str):
        try:
            parse_proxy(proxy)
        except TargetInvalid as error:
            reader.refuse(("proxy",), str(error), "bad_url")
    return proxy


def _texts(reader: Reader, key: str) -> dict[str, Text]:
    read = {name: reader.text(key, name) for name in reader.mapping(key) or ()}
    return {name: text for name, text in read.items() if text is not None}


def _build_headers(reader: Reader, *, has_auth: bool) -> tuple[tuple[str, Text], ...]:
    headers = _texts(reader, "headers")
    seen: dict[str, str] = {}
    places = reader.places  # asked for a place only when something is wrong: the file may have to be read again
    for name, value in headers.items():
        at, text = ("headers", name), value if isinstance(value, str) else ""
        message = header_problem(name, text)
        if message is not None:
            place = places.key_place(at) if header_problem(name, "") else places.place(at)
            reader.findings.report(place, message, "bad_header")
        elif _TEMPLATE in text:
            reader.refuse(at, "a template stands in `body` only; a header is what it says", "bad_header")
        elif name.lower() in seen:
            also = places.key_place(("headers", seen[name.lower()]))
            message = f"the header {name.lower()} stands here twice"
            reader.findings.report(places.key_place(at), message, "duplicate_key", also=also)
        elif has_auth and name.lower() == "authorization":
            message = "the header authorization is what `auth` sets; keep one of them"
            reader.findings.report(places.key_place(at), message, "bad_header")
        seen.setdefault(name.lower(), name)
    return tuple(headers.items())


def _build_auth(reader: Reader) -> BearerAuth | BasicAuth | None:
    if reader.mapping("auth") is None:
        return None
    bearer = reader.text("auth", "bearer")
    reader.mapping("auth", "basic")
    if (reader.find("auth", "bearer") is None) == (reader.find("auth", "basic") is None):
        if not reader.has_spoken_inside("auth"):
            reader.refuse(("auth",), "`auth` takes either `bearer` or `basic`", "exactly_one")
        return None
    if reader.find("auth", "bearer") is not None:
        if bearer is not None:
            _refuse_unsendable(reader, bearer, "auth", "bearer")
        return BearerAuth(token=bearer or "")
    username, password = reader.text("auth", "basic", "username"), reader.text("auth", "basic", "password")
    for name, value in (("username", username), ("password", password)):
        if value is None and not reader.has_spoken_inside("auth", "basic"):
            reader.refuse(("auth", "basic"), f"`basic` needs a `{name}`", "missing_key")
    if isinstance(username, str) and ":" in username:
        # RFC 7617, section 2: the first colon ends the name.
        reader.refuse(("auth", "basic", "username"), "a user name cannot hold a `:`")
    return BasicAuth(username=username or "", password=password or "")


def _refuse_unsendable(reader: Reader, text: Text, *path: str) -> None:
    if isinstance(text, str) and header_problem("authorization", f"Bearer {text}") is not None:
        reader.refuse(path, "the token holds a character that cannot be sent in a header", "bad_secret")


def _build_sign(reader: Reader) -> Sign | None:
    if reader.mapping("sign") is None:
        return None
    read = [reader.text("sign", "secrets", index) for index in range(len(reader.items("sign", "secrets") or ()))]
    if reader.find("sign", "secrets") in (None, []) and not reader.has_spoken_inside("sign"):
        reader.refuse(("sign",), "`sign` needs `secrets`, at least one", "missing_key")
    for index, secret in enumerate(read):
        if isinstance(secret, str):
            try:
                parse_secret(secret)
            except SecretInvalid as error:
                reader.refuse(("sign", "secrets", index), str(error), "bad_secret")
    scheme: Literal["standard"] = reader.choice(("standard",), "sign", "scheme", default="standard")
    return Sign(scheme=scheme, secrets=tuple(secret for secret in read if secret is not None))


def _build_body(reader: Reader, secrets: frozenset[str], schemas: SchemaSet, shared: Shared) -> Body:
    reader.mapping("body")
    node = reader.find("body", "template")
    form = reader.choice(_FORMATS, "body", "format", default="json")
    template = _DEFAULT
    if node is not None:
        try:
            template = shared.template(node)
        except TemplateInvalid as error:
            for problem in error.problems:
                at, message = problem
                reader.findings.report(place_numbered(reader, at, error.numbers.get(problem)), message, "bad_template")
    absent = sorted(template.secret_names - secrets)
    if absent and not secrets and reader.findings.has_spoken(reader.places.place(("secrets",))):
        absent = []  # `secrets` is no mapping, which is said
    for name in absent:
        message, hint = f"there is no `{name}` in `secrets`", did_you_mean(name, secrets)
        place = place_named(reader, f"secrets.{name}")
        reader.findings.report(place, message, "undeclared_secret", hint=hint)
    if form == "form" and not template.fits_form:
        reader.refuse(("body", "template"), "a form needs a mapping of its parameters", "bad_template")
    schema = reader.file_path("body", "schema")
    validator = None if schema is None else schemas.compile(schema, reader.places.place(("body", "schema")))
    return Body(format=form, template=template, validator=validator)


def _build_networks(reader: Reader, shared: Shared) -> tuple[Network, ...]:
    networks: list[Network] = []
    for index, text in enumerate(reader.strings("allow_networks")):
        try:
            if "%" in text:
                raise ValueError  # noqa: TRY301  a zone is of an interface, and no part of a network
            network = shared.network(text)
            networks.append(network)
            if isinstance(network, IPv6Network) and (meant := _unmap(network)) is not None:
                message = "addresses in this spelling are judged as the IPv4 addresses that they stand for"
                reader.refuse(("allow_networks", index), message, "bad_network", hint=meant)
        except ValueError:
            try:
                meant = str(ip_network(text.partition("%")[0], strict=False))
            except ValueError:
                reader.refuse(("allow_networks", index), "this is not a network like 10.1.0.0/16", "bad_network")
            else:
                message = "an address inside a network is not the network"
                reader.refuse(("allow_networks", index), message, "bad_network", hint=meant)
    return tuple(networks)


def _unmap(network: IPv6Network) -> str | None:
    """Give the IPv4 network that an IPv4-mapped one (RFC 4291 section 2.5.5.2) stands for; None: it is none."""
    mapped = network.network_address.ipv4_mapped
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return None
    return f"{mapped}/{network.prefixlen - _MAPPED_BITS}"


def _build_tls(reader: Reader) -> Tls | None:
    if reader.mapping("tls") is None:
        return None
    certificate, key = reader.file_path("tls", "certificate"), reader.text("tls", "key")
    if isinstance(key, str) and not key.startswith(_PEM):
        # The path of a key file, as the other two are, unless the key itself stands there.
        key = Reference(ReferenceKind.FILE, reader.file_path("tls", "key") or "")
    if key is not None and certificate is None and not reader.has_spoken_inside("tls"):
        reader.refuse(("tls",), "a `key` needs the `certificate` that it belongs to", "missing_key")
    return Tls(ca=reader.file_path("tls", "ca"), certificate=certificate, key=key)


def _plain(text: Text | None) -> object:
    return {text.kind: text.name} if isinstance(text, Reference) else text


def _plain_auth(auth: BearerAuth | BasicAuth) -> object:
    if isinstance(auth, BearerAuth):
        return {"bearer": _plain(auth.token)}
    return {"basic": [_plain(auth.username), _plain(auth.password)]}


def hash_json(value: Mapping[str, object]) -> str:
    """Give 32 hexadecimal digits that are the same for equal JSON values, whatever the order of their keys."""
    return hashlib.blake2b(_CANONICAL.encode(value).encode("ascii"), digest_size=16).hexdigest()
