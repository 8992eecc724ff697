"""Signing: the published vector, the verifiers of others, and every way to be wrong."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime

import pytest
import standardwebhooks
import svix.webhooks
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.core.signing import SecretInvalid, SigningKey, generate_secret, parse_secret, sign, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = generate_secret(b"o" * 32)
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
KEY = parse_secret(SECRET)


def test_the_published_vector() -> None:
    assert sign([KEY], ID, AT, BODY) == SIGNATURE


def test_a_key_signs_again_and_again() -> None:
    assert [sign([KEY], ID, AT, BODY) for _ in range(3)] == [SIGNATURE] * 3


def test_a_signature_for_each_secret_in_their_order() -> None:
    keys = [parse_secret(OTHER), KEY]
    first, second = sign(keys, ID, AT, BODY).split(" ")
    assert second == SIGNATURE
    assert first == sign(keys[:1], ID, AT, BODY)
    assert first != second


# --------------------------------------------------------------------------- others judge


def theirs(secret: str, headers: dict[str, str], body: bytes) -> list[bool]:
    """Ask the reference library and Svix's own whether they take a request."""
    taken = []
    for library in (standardwebhooks.Webhook, svix.webhooks.Webhook):
        try:
            library(secret).verify(body, headers)
        except (standardwebhooks.WebhookVerificationError, svix.webhooks.WebhookVerificationError):
            taken.append(False)
        else:
            taken.append(True)
    return taken


def signed(keys: list[SigningKey], body: bytes, at: int) -> dict[str, str]:
    return {"webhook-id": ID, "webhook-timestamp": str(at), "webhook-signature": sign(keys, ID, at, body)}


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), st.integers(0), st.integers(1, 255))
@settings(max_examples=50)
def test_their_verifiers_take_it_and_not_with_one_byte_changed(value: dict[str, str], where: int, flip: int) -> None:
    body = json.dumps(value, ensure_ascii=False).encode()
    now = int(datetime.now(UTC).timestamp())
    headers = signed([parse_secret(OTHER), KEY], body, now)
    assert theirs(SECRET, headers, body) == [True, True]
    assert theirs(OTHER, headers, body) == [True, True]
    assert theirs(generate_secret(b"n" * 24), headers, body) == [False, False]
    at = where % len(body)
    # As latin-1 text would be: their libraries decode the body first, and must get that far.
    changed = body[:at] + bytes([(body[at] ^ flip) & 0x7F]) + body[at + 1 :]
    if changed != body and is_utf8(changed):
        assert theirs(SECRET, headers, changed) == [False, False]
    assert verify([KEY], ID, str(now), headers["webhook-signature"], body, now) is None
    flipped = body[:at] + bytes([body[at] ^ flip]) + body[at + 1 :]
    assert verify([KEY], ID, str(now), headers["webhook-signature"], flipped, now) is not None


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_we_take_what_they_sign() -> None:
    at = datetime.fromtimestamp(AT, UTC)
    for library in (standardwebhooks.Webhook, svix.webhooks.Webhook):
        assert verify([KEY], ID, str(AT), library(SECRET).sign(ID, at, BODY.decode()), BODY, AT) is None


# --------------------------------------------------------------------------- verifying


@pytest.mark.parametrize(
    ("delivery_id", "timestamp", "signature", "now", "told"),
    [
        (ID, str(AT), SIGNATURE, AT, None),
        (ID, str(AT), SIGNATURE, AT + 300, None),
        (ID, str(AT), SIGNATURE, AT - 300, None),
        (ID, str(AT), f"v1,AAAA v1a,xyz {SIGNATURE}", AT, None),
        (ID, str(AT), f"{SIGNATURE} v1,AAAA", AT, None),
        (ID, str(AT), SIGNATURE, AT + 301, "too old"),
        (ID, str(AT), SIGNATURE, AT - 301, "future"),
        ("msg_other", str(AT), SIGNATURE, AT, "does not match"),
        (ID, str(AT + 1), SIGNATURE, AT, "does not match"),
        (ID, f"0{AT}", SIGNATURE, AT, "does not match"),
        (ID, str(AT), SIGNATURE.replace("v1,", "v2,"), AT, "no v1"),
        (ID, str(AT), SIGNATURE.replace("v1,", "v1a,"), AT, "no v1"),
        (ID, str(AT), SIGNATURE.removeprefix("v1,"), AT, "no v1"),
        (ID, str(AT), "", AT, "no v1"),
        (ID, str(AT), "v1,", AT, "does not match"),
        (ID, str(AT), "v1,é", AT, "does not match"),
        (ID, str(AT), SIGNATURE.rstrip("="), AT, "does not match"),
        (ID, str(AT), SIGNATURE.upper().replace("V1", "v1"), AT, "does not match"),
        (ID, "", SIGNATURE, AT, "whole number"),
        (ID, "yesterday", SIGNATURE, AT, "whole number"),
        (ID, f"-{AT}", SIGNATURE, AT, "whole number"),
        (ID, f" {AT}", SIGNATURE, AT, "whole number"),
        (ID, "١٦", SIGNATURE, AT, "whole number"),
        (ID, "9" * 5000, SIGNATURE, AT, "whole number"),
    ],
)
def test_verify(delivery_id: str, timestamp: str, signature: str, now: int, told: str | None) -> None:
    why = verify([parse_secret(OTHER), KEY], delivery_id, timestamp, signature, BODY, now)
    if told is None:
        assert why is None
    else:
        assert why is not None
        assert told in why


def test_any_key_is_enough_in_any_order() -> None:
    assert verify([KEY, parse_secret(OTHER)], ID, str(AT), SIGNATURE, BODY, AT) is None


def test_without_a_key_nothing_is_good() -> None:
    assert verify([], ID, str(AT), SIGNATURE, BODY, AT) is not None
    assert verify([parse_secret(OTHER)], ID, str(AT), SIGNATURE, BODY, AT) is not None


def test_tolerance_can_be_said() -> None:
    assert verify([KEY], ID, str(AT), SIGNATURE, BODY, AT + 10, tolerance_s=9) is not None
    assert verify([KEY], ID, str(AT), SIGNATURE, BODY, AT + 9, tolerance_s=9) is None


# --------------------------------------------------------------------------- secrets


@given(st.binary(min_size=24, max_size=64))
@settings(max_examples=100)
def test_every_good_secret_is_taken_padded_or_not(key: bytes) -> None:
    secret = generate_secret(key)
    assert secret == "whsec_" + b64encode(key).decode()
    expected = sign([SigningKey(key)], ID, AT, BODY)
    assert sign([parse_secret(secret)], ID, AT, BODY) == expected
    assert sign([parse_secret(secret.rstrip("="))], ID, AT, BODY) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "begins with `whsec_`"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begins with `whsec_`"),
        (" " + SECRET, "begins with `whsec_`"),
        ("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begins with `whsec_`"),
        ("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbf", "asymmetric"),
        ("whsec_", "and this one 0"),
        (generate_secret(b"MfKQ" * 6)[:-1], "and this one 23"),
        ("whsec_" + b64encode(b"MfKQ" * 17).decode(), "and this one 68"),
        (SECRET + "\n", "spaces or line ends"),
        (SECRET[:20] + " " + SECRET[20:], "spaces or line ends"),
        (SECRET[:-1] + "!", "not base64"),
        (SECRET[:-1] + "é", "not base64"),
        (SECRET[:-1] + "_", "URL-safe"),
        (SECRET[:20] + "=" + SECRET[20:], "not base64"),
        (SECRET + "A", "not base64"),
    ],
)
def test_what_is_no_secret_is_told_without_a_character_of_it(text: str, told: str) -> None:
    with pytest.raises(SecretInvalid) as caught:
        parse_secret(text)
    assert told in str(caught.value)
    assert "MfKQ" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("length", [0, 23, 65])
def test_a_secret_of_another_length_is_not_made(length: int) -> None:
    with pytest.raises(ValueError, match="24 to 64"):
        generate_secret(b"x" * length)


def test_a_key_does_not_show_itself() -> None:
    assert repr(KEY) == "SigningKey(***)"
    assert str(KEY) == "SigningKey(***)"
