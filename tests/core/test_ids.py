"""Ids with and without a tenant."""

from __future__ import annotations

import pytest

from hookd.core.ids import RESERVED, id_problem, tenant_of


@pytest.mark.parametrize("text", ["crm", "4711/orders", "ACME.nl/a-b_c.d", "a/" + "b" * 63, "A" * 63 + "/b"])
def test_an_id_may_have_a_tenant_before_it(text: str) -> None:
    assert id_problem(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an id is"),
        ("Orders", "an id is"),
        ("4711/Orders", "an id is"),
        ("4711/", "an id is"),
        ("4711/" + "b" * 64, "an id is"),
        ("4711/x-own", "an id is"),
        ("4711/../x", "a tenant"),
        ("/orders", "a tenant"),
        (".git/orders", "a tenant"),
        ("x-a/orders", "a tenant"),
        ("a+b/orders", "a tenant"),
        ("a/b/orders", "a tenant"),
        ("4711/orders\n", "an id is"),
        ("é/orders", "a tenant"),
        *((f"4711/{word}", "a word of the API") for word in sorted(RESERVED)),
    ],
)
def test_what_is_no_id_is_told(text: str, said: str) -> None:
    assert said in str(id_problem(text))


def test_the_tenant_of_an_id() -> None:
    assert tenant_of("4711/orders") == "4711"
    assert tenant_of("orders") is None
