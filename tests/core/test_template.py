"""Templates: every rule of what is inserted where, byte for byte, and what a person is told when one is wrong."""

from __future__ import annotations

import json
import math
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.core.model import Event
from hookd.core.paths import event_time
from hookd.core.template import (
    DEFAULT_TEMPLATE,
    RenderFailed,
    Scope,
    TemplateInvalid,
    compile_template,
)

DATA = (
    b'{"id":1,"n":1E2,"f":0.10,"z":-0,"u":"\\u00e9\\/","big":12345678901234567890123,"name":"Gu\xc3\xa0n \\"x\\"\\n",'
    b'"yes":true,"no":false,"null":null,"list":[1, 2 ,{"sku" : "A-1"}],"obj":{"a":{"b":[10,1E2]}, "s":"\\u00e9"},'
    b'"none":[],"nothing":{},"odd key":"odd","empty":"","a)b":"paren","0":"zero"}'
)
EVENT = Event(
    id="evt_1",
    type="user.updated",
    subject='say "hi"',
    tenant="acme",
    extensions=b'{"region":"eu","level":3}',
    data=DATA,
    accepted_at=1_700_000_000_000,
)
SECRETS = {"token": 'se"cret'}


def render(template: object, event: Event = EVENT) -> str:
    return compile_template(template).render_json(Scope(event, SECRETS)).decode()


RENDERED: list[tuple[object, str]] = [
    # what stands for itself
    (None, "null"),
    (True, "true"),
    (12, "12"),
    (10**30, "1" + "0" * 30),
    (1.5, "1.5"),
    ('text é " \\ \n', '"text é \\" \\\\ \\n"'),
    ({}, "{}"),
    ([], "[]"),
    ({"a": [1, None, {"b": False}], "": "empty key"}, '{"a":[1,null,{"b":false}],"":"empty key"}'),
    # the value itself
    ("$(data)", DATA.decode()),
    ("$(data.n)", "1E2"),
    ("$(data.f)", "0.10"),
    ("$(data.z)", "-0"),
    ("$(data.big)", "12345678901234567890123"),
    ("$(data.u)", '"\\u00e9\\/"'),
    ("$(data.null)", "null"),
    ("$(data.null?)", "null"),
    ("$(data.list)", '[1, 2 ,{"sku" : "A-1"}]'),
    ("$(data.list[2])", '{"sku" : "A-1"}'),
    ("$(data.list[2].sku)", '"A-1"'),
    ("$(data.obj.a.b[1])", "1E2"),
    ('$(data["odd key"])', '"odd"'),
    ('$(data["a)b"])', '"paren"'),
    ("$(data.0)", '"zero"'),
    ("$(type)", '"user.updated"'),
    ("$(subject)", '"say \\"hi\\""'),
    ("$(time)", '"2023-11-14T22:13:20.000Z"'),
    ("$(time?)", '"2023-11-14T22:13:20.000Z"'),
    ("$(extensions)", '{"region":"eu","level":3}'),
    ("$(extensions.level)", "3"),
    ("$(secrets.token)", '"se\\"cret"'),
    ({"k": "$(data.none)", "l": ["$(data.nothing)", "$(data.id)"]}, '{"k":[],"l":[{},1]}'),
    # inside text
    ("user $(data.id) of $(tenant)", '"user 1 of acme"'),
    (" $(data.id)", '" 1"'),
    ("$(data.id) ", '"1 "'),
    ("$(data.n)|$(data.f)|$(data.z)|$(data.big)", '"1E2|0.10|-0|12345678901234567890123"'),
    ("$(data.u)-$(data.name)", '"é/-Guàn \\"x\\"\\n"'),
    ("$(data.yes),$(data.no)", '"true,false"'),
    ("[$(data.null)]", '"[]"'),
    ("[$(data.empty)]", '"[]"'),
    ("=$(data.list)", '"=[1,2,{\\"sku\\":\\"A-1\\"}]"'),
    ("=$(data.obj)", '"={\\"a\\":{\\"b\\":[10,1E2]},\\"s\\":\\"\\\\u00e9\\"}"'),
    ("$(secrets.token)$(secrets.token)", '"se\\"cretse\\"cret"'),
    ("at $(time)", '"at 2023-11-14T22:13:20.000Z"'),
    # optional
    ({"a": "$(data.missing?)", "b": 1}, '{"b":1}'),
    ({"a": 1, "b": "$(data.missing?)"}, '{"a":1}'),
    ({"a": "$(source?)", "b": "$(data.missing.deep[3]?)"}, "{}"),
    ({"a": {"b": "$(data.missing?)"}}, '{"a":{}}'),
    ({"a": ["$(data.missing?)"]}, '{"a":[]}'),
    (["$(data.missing?)", "$(data.id)", "$(source?)", 2], "[1,2]"),
    ("a$(data.missing?)b", '"ab"'),
    ("$(data.missing?)$(source?)", '""'),
    ({"a": "$(data.missing?)x"}, '{"a":"x"}'),
    ({"a": "$(tenant?)"}, '{"a":"acme"}'),
    # what does not fit is missing, and nothing is converted
    ({"a": "$(data.id.x?)", "b": "$(data.name[0]?)", "c": "$(data.list.0?)", "d": "$(data[0]?)"}, "{}"),
    ({"a": "$(data.null.x?)", "b": "$(data.list[9]?)", "c": "$(data.obj[0]?)"}, "{}"),
    ({"a": "$(secrets.other?)", "b": "$(extensions.other?)"}, "{}"),
    # dollars
    ("$$", '"$"'),
    ("$$$$", '"$$"'),
    ("$$(data)", '"$(data)"'),
    ("$$$(data.id)", '"$1"'),
    ("$(data.id)$$", '"1$"'),
    ("costs $5 or 5$", '"costs $5 or 5$"'),
    ("${data}", '"${data}"'),
    # keys are literal
    ({"$ref": 1, "a$$b": 2}, '{"$ref":1,"a$$b":2}'),
    # spread
    ({"...": "$(extensions)"}, '{"region":"eu","level":3}'),
    ({"...": "$(extensions)", "a": 1}, '{"region":"eu","level":3,"a":1}'),
    ({"a": 1, "...": "$(extensions)", "b": 2}, '{"a":1,"region":"eu","level":3,"b":2}'),
    ({"region": "us", "...": "$(extensions)"}, '{"region":"us","level":3}'),
    ({"...": "$(extensions)", "region": "us"}, '{"level":3,"region":"us"}'),
    ({"...": "$(extensions)", "region": "$(source?)"}, '{"level":3}'),
    ({"...": "$(data.obj.a)"}, '{"b":[10,1E2]}'),
    ({"...": "$(data.nothing)"}, "{}"),
    ({"...": "$(data.nothing)", "a": "$(data.id)"}, '{"a":1}'),
    ({"...": "$(data.missing?)"}, "{}"),
    ({"...": "$(data.missing?)", "a": 1}, '{"a":1}'),
    (
        {"a": {"...": "$(extensions)", "b": {"...": "$(data.obj.a)"}}},
        '{"a":{"region":"eu","level":3,"b":{"b":[10,1E2]}}}',
    ),
    ({"x": "...", "...": "$(extensions)"}, '{"x":"...","region":"eu","level":3}'),
]


@pytest.mark.parametrize(("template", "expected"), RENDERED)
def test_rendered(template: object, expected: str) -> None:
    assert render(template) == expected


FAILS: list[tuple[object, str, str]] = [
    ("$(data.missing)", "data.missing", "is missing"),
    ({"a": {"b": ["$(data.missing)"]}}, "data.missing", "is missing"),
    ("x $(data.list[9].sku)", "data.list[9].sku", "is missing"),
    ("$(source)", "source", "is missing"),
    ("x $(partitionkey)", "partitionkey", "is missing"),
    ("$(secrets.other)", "secrets.other", "is missing"),
    ("$(extensions.other)", "extensions.other", "is missing"),
    ("$(data.id.x)", "data.id.x", "is missing"),
    ("$(data.missing?)", "data.missing", "whole body"),
    ({"...": "$(data.missing)"}, "data.missing", "is missing"),
    ({"...": "$(data.list)"}, "data.list", "is not an object"),
    ({"...": "$(data.name)"}, "data.name", "is not an object"),
    ({"...": "$(data.null?)"}, "data.null", "is not an object"),
]


@pytest.mark.parametrize(("template", "path", "told"), FAILS)
def test_a_failure_names_the_path_and_no_value(template: object, path: str, told: str) -> None:
    with pytest.raises(RenderFailed) as caught:
        render(template)
    assert caught.value.path == path
    assert told in caught.value.message
    for value in ("Gu", "A-1", "se", "12345"):
        assert value not in caught.value.message


def test_a_secret_that_is_not_unicode_fails_without_a_word_of_it() -> None:
    template = compile_template({"a": "x $(secrets.token)"})
    with pytest.raises(RenderFailed) as caught:
        template.render_json(Scope(EVENT, {"token": "abc\udcff"}))
    assert "abc" not in str(caught.value)
    assert caught.value.__suppress_context__


INVALID: list[tuple[object, list[tuple[tuple[str | int, ...], str]]]] = [
    ("$(data", [((), "never closed")]),
    ("a $( b", [((), "never closed")]),
    ('$(data["x)', [((), "never closed")]),
    ("$()", [((), "empty")]),
    ("$(typ)", [((), "did you mean `type`")]),
    ("$(country)", [((), "written `data.country`")]),
    ("$( type )", [((), "begins with an attribute")]),
    ("$(data.x $(type)", [((), "never closed")]),
    ("$(data.x | upper)", [((), "no spaces, functions or defaults")]),
    ("$(type.x)", [((), "nothing inside")]),
    ("$(secrets)", [((), "secrets.NAME")]),
    ({"$(type)": 1}, [(("$(type)",), "literal text")]),
    ({1: "x"}, [((), "quote it")]),
    ({"a": math.nan}, [(("a",), "no such number")]),
    ({"a": {1, 2}}, [(("a",), "expected a JSON value, not set")]),
    ({"a": "\ud800"}, [(("a",), "not Unicode")]),
    ({"a": "\ud800$(type)"}, [(("a",), "not Unicode")]),
    ({"\ud800": 1}, [((), "not Unicode")]),
    ({"...": {"a": 1}}, [(("...",), "takes one path")]),
    ({"...": ["$(data)"]}, [(("...",), "takes one path")]),
    ({"...": "x $(data)"}, [(("...",), "takes one path")]),
    ({"...": "data"}, [(("...",), "takes one path")]),
    ({"...": ""}, [(("...",), "takes one path")]),
    ({"...": "$(type)"}, [(("...",), "takes one path")]),
    ({"...": "$(secrets.token)"}, [(("...",), "takes one path")]),
    ({"...": "$(dat)"}, [(("...",), "did you mean `data`")]),
    (
        {"a": "$(typ) $(data", "b": [1, {"c": "$(data..x)"}], "$(x)": "$(secrets)"},
        [
            (("a",), "did you mean `type`"),
            (("a",), "never closed"),
            (("b", 1, "c"), "odd characters"),
            (("$(x)",), "literal text"),
            (("$(x)",), "secrets.NAME"),
        ],
    ),
]


@pytest.mark.parametrize(("template", "expected"), INVALID)
def test_all_problems_are_told_with_their_places(
    template: object, expected: list[tuple[tuple[str | int, ...], str]]
) -> None:
    with pytest.raises(TemplateInvalid) as caught:
        compile_template(template)
    problems = caught.value.problems
    assert [at for at, _ in problems] == [at for at, _ in expected]
    for (_, message), (_, told) in zip(problems, expected, strict=True):
        assert told in message


def test_a_long_text_of_open_dollars_is_told_soon() -> None:
    began = process_time()
    with pytest.raises(TemplateInvalid) as caught:
        compile_template("$(" * 20_000)
    assert process_time() - began < 5  # 0.3 s here, and 14 s at the square of the length
    assert len(caught.value.problems) == 20_000


def test_the_default_is_the_payload_of_standard_webhooks() -> None:
    data = b'{"n":1E2,"f":0.10,"z":-0,"u":"\\u00e9\\/","big":12345678901234567890}'
    event = Event(id="1", type="t.x", data=data, accepted_at=1_700_000_000_000)
    assert render(DEFAULT_TEMPLATE, event) == (
        '{"type":"t.x","timestamp":"2023-11-14T22:13:20.000Z","data":' + data.decode() + "}"
    )
    bare = Event(id="1", type="t.x", time="2026-01-01T00:00:00+02:00")
    assert render(DEFAULT_TEMPLATE, bare) == '{"type":"t.x","timestamp":"2026-01-01T00:00:00+02:00"}'
    assert event_time(event) == "2023-11-14T22:13:20.000Z"


def test_a_body_of_an_event_registration_platform() -> None:
    result = (
        rb'{"id":1,"external_id":"1815","checkin":"2019-11-05 07:56:15","name_infix":null,'
        rb'"secure_qr_code":"https:\/\/evins.nl\/1\/bd0494941c\/x%2E","custom_fields":[],"companies":[5]}'
    )
    template = {
        "entity_id": "$(data.id)",
        "entity_type": "$(extensions.entity)",
        "action_type": "$(extensions.action)",
        "result": "$(data.result?)",
    }
    new = Event(
        id="1",
        type="user.new",
        extensions=b'{"entity":"user","action":"new"}',
        data=b'{"id":1,"result":' + result + b"}",
    )
    assert render(template, new) == (
        '{"entity_id":1,"entity_type":"user","action_type":"new","result":' + result.decode() + "}"
    )
    gone = Event(id="2", type="user.delete", extensions=b'{"entity":"user","action":"delete"}', data=b'{"id":1}')
    assert render(template, gone) == '{"entity_id":1,"entity_type":"user","action_type":"delete"}'


@pytest.mark.parametrize("data", [b' \n{"a" : 1 }\n', b'\t[ {"a": 1} ]'])
def test_space_around_the_data_does_not_matter(data: bytes) -> None:
    event = Event(id="1", type="t", data=data)
    path = "$(data.a)" if b"[" not in data else "$(data[0].a)"
    assert render([path, path + "!"], event) == '[1,"1!"]'


def test_paths_and_secrets_are_known_before_rendering() -> None:
    template = compile_template({"a": "$(secrets.x) $(data.y?)", "b": ["$(secrets.z)"], "...": "$(extensions?)"})
    assert [str(path) for path in template.paths] == ["secrets.x", "data.y", "secrets.z", "extensions"]
    assert template.secret_names == {"x", "z"}
    assert compile_template("$$(secrets.x)").secret_names == frozenset()


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ({}, True),
        ({"a": 1}, True),
        ("$(data)", True),
        ("$(data.x?)", True),
        ("$(extensions)", True),
        ("$(type)", False),
        ("x $(data)", False),
        (["$(data)"], False),
        (None, False),
        ("text", False),
    ],
)
def test_what_fits_a_form(template: object, expected: bool) -> None:  # noqa: FBT001  a column of the table
    assert compile_template(template).fits_form is expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (
            {"event": "$(type)", "n": "$(data.n)", "big": "$(data.big)"},
            "event=user.updated&n=1E2&big=12345678901234567890123",
        ),
        (
            {"u": {"id": "$(data.id)", "l": "$(data.list)"}},
            "u%5Bid%5D=1&u%5Bl%5D%5B0%5D=1&u%5Bl%5D%5B1%5D=2&u%5Bl%5D%5B2%5D%5Bsku%5D=A-1",
        ),
        ({"a": "$(data.null)", "b": "$(data.missing?)", "c": "$(data.yes)", "d": "$(data.no)"}, "c=1&d=0"),
        ({"s": "$(secrets.token)"}, "s=se%22cret"),
        ("$(extensions)", "region=eu&level=3"),
        ({}, ""),
    ],
)
def test_form(template: object, expected: str) -> None:
    assert compile_template(template).render_form(Scope(EVENT, SECRETS)) == expected.encode()


@pytest.mark.parametrize(
    "name", ["token", " token", "token[x]", "token\0x", "  token[x][y]", "a_b", "a.b", "a b", "a[b", " a.b[]"]
)
def test_what_php_would_take_for_a_written_key_is_not_spread(name: str) -> None:
    event = Event(id="1", type="t", data=json.dumps({name: "theirs", "TOKEN": 1, "other.one": 2}).encode())
    template = compile_template({"token": "$(secrets.token)", "a.b": 5, "a b": 6, "...": "$(data)"})
    form = template.render_form(Scope(event, SECRETS)).decode()
    assert form == "token=se%22cret&a.b=5&a+b=6&TOKEN=1&other.one=2"


@pytest.mark.parametrize(("template", "path"), [("$(data.list)", "data.list"), ("$(type)", "type"), ([1], "")])
def test_a_form_needs_an_object(template: object, path: str) -> None:
    with pytest.raises(RenderFailed) as caught:
        compile_template(template).render_form(Scope(EVENT, SECRETS))
    assert caught.value.path == path
    assert "needs one" in caught.value.message


def test_nothing_shows_its_inside() -> None:
    assert "user.updated" not in repr(compile_template({"a": "user.updated $(secrets.token)"}))
    assert "cret" not in repr(Scope(EVENT, SECRETS))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), JSON_VALUES, max_size=4), st.booleans(), st.sampled_from([None, 1]))
@settings(max_examples=200)
def test_what_is_inserted_is_what_was_sent(data: dict[str, Any], ascii_only: bool, indent: int | None) -> None:  # noqa: FBT001  drawn
    raw = json.dumps(data, ensure_ascii=ascii_only, indent=indent).encode()
    event = Event(id="1", type="t", data=raw)
    assert render("$(data)", event) == raw.decode()
    assert json.loads(render({"...": "$(data)", "a": 1}, event)) == {**data, "a": 1}
    for key, value in data.items():
        path = f"$(data[{json.dumps(key)}])"
        assert json.loads(render({"v": path, "l": [path]}, event)) == {"v": value, "l": [value]}
        text = json.loads(render("x" + path, event))[1:]
        if isinstance(value, str):
            assert text == value
        elif value is None:
            assert text == ""
        else:
            assert json.loads(text) == value


@given(st.text(st.characters(codec="utf-8", include_characters='$()"?.'), max_size=12))
@settings(max_examples=200)
def test_any_text_is_a_template_or_told(text: str) -> None:
    try:
        template = compile_template(text)
    except TemplateInvalid:
        assert "$(" in text.replace("$$", "")
        return
    if not template.paths:
        assert json.loads(template.render_json(Scope(EVENT, {}))) == text.replace("$$", "$")
