"""Routing: precedence, tenants, hookd's own events, order keys, and that cost follows the matches."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookd.core import routing
from hookd.core.config import Body, Place, Trigger, Webhook
from hookd.core.filters import compile_filter
from hookd.core.model import Event, Owed
from hookd.core.paths import ABSENT
from hookd.core.routing import Route, build_index, pattern_takes, revise_index, route, tenant_allows, trigger_for
from hookd.core.template import DEFAULT_TEMPLATE, compile_template

BODY = Body(template=compile_template(DEFAULT_TEMPLATE))


def webhook(
    name: str, *patterns: str, tenant: str | None = None, active: bool = True, spec: object = None, **more: object
) -> Webhook:
    """Give a webhook; a pattern that begins with `-` is an inactive trigger."""
    made = Webhook(
        id=name,
        place=Place(file="x.yaml"),
        url="https://x.example",
        triggers=tuple(Trigger(pattern=p.removeprefix("-"), active=not p.startswith("-")) for p in patterns),
        filter=None if spec is None else compile_filter(spec),
        body=BODY,
        tenant=tenant,
        active=active,
    )
    for key, value in more.items():
        object.__setattr__(made, key, value)
    return made


def owed_to(webhooks: list[Webhook], event_type: str, tenant: str | None = None, data: object = ABSENT) -> list[str]:
    event = Event(id="1", type=event_type, tenant=tenant)
    return [owed.webhook for owed in route(build_index(webhooks), event, data)]


@pytest.mark.parametrize(
    ("patterns", "event_type", "expected"),
    [
        (["user.new"], "user.new", True),
        (["user.new"], "user.newer", False),
        (["user.new"], "user", False),
        (["user.*"], "user.new", True),
        (["user.*"], "user.", True),
        (["user.*"], "user", False),
        (["user.*"], "users.new", False),
        (["user*"], "users.new", True),
        (["*"], "anything", True),
        (["a.*", "user.*"], "user.new", True),
        # what wins decides alone
        (["*", "-user.new"], "user.new", False),
        (["-*", "user.new"], "user.new", True),
        (["user.*", "-user.new.*"], "user.new.x", False),
        (["-user.*", "user.new.*"], "user.new.x", True),
        (["-user.*", "*"], "user.new", False),
        (["-user.*", "*"], "company.new", True),
        (["-user.new*", "user.new"], "user.new", True),
        # hookd's own
        (["*"], "hookd.webhook.suspended", False),
        (["h*"], "hookd.webhook.suspended", False),
        (["hookd*"], "hookd.webhook.suspended", False),
        (["hookd.*"], "hookd.webhook.suspended", True),
        (["hookd.webhook.*"], "hookd.webhook.suspended", True),
        (["hookd.webhook.suspended"], "hookd.webhook.suspended", True),
        (["*", "-hookd.delivery.dead"], "hookd.delivery.dead", False),
        (["hookd*"], "hookdown", True),
        (["*"], "hookd", True),
        ([], "user.new", False),
    ],
)
def test_patterns(patterns: list[str], event_type: str, expected: bool) -> None:  # noqa: FBT001  a column of the table
    one = webhook("w", *patterns)
    assert owed_to([one], event_type) == (["w"] if expected else [])
    trigger = trigger_for(one, event_type)
    assert (trigger is not None and trigger.active) is expected


@pytest.mark.parametrize("pattern", ["*", "user.*", "user.new", "hookd.*", "hookd.web*", "hook*", "hookd.webhook.x"])
def test_a_pattern_takes_what_a_webhook_of_it_is_given(pattern: str) -> None:
    one = webhook("one", pattern)
    for event_type in ("user.new", "user.", "user", "hookd.webhook.x", "hookd.", "hooks.a", ""):
        assert pattern_takes(pattern, event_type) is (trigger_for(one, event_type) is not None)


def test_trigger_for_tells_the_one_that_decides() -> None:
    one = webhook("w", "*", "user.*", "-user.new")
    assert trigger_for(one, "user.new") == Trigger(pattern="user.new", active=False)
    assert trigger_for(one, "user.gone") == Trigger(pattern="user.*")
    assert trigger_for(one, "company.new") == Trigger(pattern="*")
    assert trigger_for(one, "hookd.delivery.dead") is None


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (None, None, True),
        (None, "acme", False),
        (None, "*", False),
        (None, "", False),
        ("acme", "acme", True),
        ("acme", "other", False),
        ("acme", None, False),
        ("acme", "*", False),
        ("*", "acme", True),
        ("*", None, True),
        ("*", "*", True),
    ],
)
def test_tenants(ours: str | None, theirs: str | None, expected: bool) -> None:  # noqa: FBT001  a column of the table
    one = webhook("w", "t", tenant=ours)
    assert tenant_allows(one, theirs) is expected
    assert owed_to([one], "t", theirs) == (["w"] if expected else [])


def test_inactive_is_owed_nothing_and_paused_is() -> None:
    assert owed_to([webhook("off", "t", active=False), webhook("paused", "t", paused=True)], "t") == ["paused"]


def test_filters_decide_last() -> None:
    hooks = [webhook("nl", "t", spec={"data.c": "NL"}), webhook("be", "t", spec={"data.c": "BE"}), webhook("all", "t")]
    assert owed_to(hooks, "t", data={"c": "NL"}) == ["nl", "all"]
    assert owed_to(hooks, "t") == ["all"]


def test_owed_carries_bound_and_order_key() -> None:
    index = build_index([webhook("plain", "t", max_pending=7), webhook("line", "t", ordered=True, max_pending=9)])
    cases = [
        (Event(id="1", type="t", partitionkey="p", subject="s"), "p"),
        (Event(id="1", type="t", subject="s"), "s"),
        (Event(id="1", type="t", partitionkey="", subject="s"), ""),
        (Event(id="1", type="t"), ""),
    ]
    for event, key in cases:
        assert route(index, event, ABSENT) == (
            Owed(webhook="plain", max_pending=7),
            Owed(webhook="line", order_key=key, max_pending=9),
        )


def test_an_event_is_owed_once_however_often_it_matches() -> None:
    assert owed_to([webhook("w", "*", "user.*", "user.new", "u*", "user.new")], "user.new") == ["w"]


def test_memory_of_made_up_types_and_tenants_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "MEMO_ENTRIES", 50)
    monkeypatch.setattr(routing, "MEMO_ROUTES", 120)
    index = build_index([webhook(f"w{n}", "*", tenant="*") for n in range(10)])
    for number in range(500):
        assert len(index.routes_for(f"made.up.{number}", f"tenant{number}")) == 10
        assert len(index._memo) <= 50
        assert sum(len(routes) for routes in index._memo.values()) <= 120
    assert index.routes_for("made.up.499", "tenant499") is index.routes_for("made.up.499", "tenant499")


class CountedTrigger:
    """A trigger that counts how often routing asks whether it is active."""

    asked = 0

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    @property
    def active(self) -> bool:
        CountedTrigger.asked += 1
        return True


@pytest.mark.parametrize("crowd", [10, 2000])
def test_cost_follows_the_matches(crowd: int) -> None:
    hooks = [webhook(f"own{n}", "t.*", tenant="acme") for n in range(3)]
    hooks += [webhook(f"tenant{n}", "t.*", tenant=f"tenant{n}") for n in range(crowd)]
    hooks += [webhook(f"type{n}", f"other{n}.*", tenant="acme") for n in range(crowd)]
    hooks += [webhook(f"exact{n}", f"exact.{n}", tenant="acme") for n in range(crowd)]
    for hook in hooks:
        object.__setattr__(hook, "triggers", tuple(CountedTrigger(trigger.pattern) for trigger in hook.triggers))
    index = build_index(hooks)
    CountedTrigger.asked = 0
    found: tuple[Route, ...] = index.routes_for("t.x", "acme")
    assert len(found) == CountedTrigger.asked == 3


PATTERNS = st.lists(
    st.text("ab.", max_size=4).flatmap(lambda text: st.sampled_from([text or "a", text + "*", "-" + text + "*"])),
    max_size=4,
    unique_by=lambda pattern: pattern.removeprefix("-"),
)


@given(
    st.lists(st.tuples(PATTERNS, st.sampled_from([None, "*", "x", "y"])), max_size=6),
    st.sampled_from(["a", "ab", "a.b", "b.a.b", "..", "abab", "hookd.a"]),
    st.sampled_from([None, "x", "*"]),
)
@settings(max_examples=200)
def test_the_index_says_what_asking_each_webhook_says(
    hooks: list[tuple[list[str], str | None]], event_type: str, tenant: str | None
) -> None:
    made = [webhook(f"w{n}", *patterns, tenant=ours) for n, (patterns, ours) in enumerate(hooks)]
    expected = {
        one.id
        for one in made
        if tenant_allows(one, tenant) and (trigger := trigger_for(one, event_type)) is not None and trigger.active
    }
    found = owed_to(made, event_type, tenant)
    assert set(found) == expected
    assert len(found) == len(expected)


PATTERNS = st.lists(st.sampled_from(["a", "a.b", "b", "a.*", "*", "hookd.*"]), min_size=1, max_size=3, unique=True)
SAID = st.tuples(PATTERNS, st.sampled_from([None, "t", "*"]), st.booleans(), st.booleans())
NAMED = st.dictionaries(st.sampled_from([f"w{n}" for n in range(40)]), SAID, max_size=40)


@given(NAMED, NAMED, st.integers(min_value=0, max_value=4))
def test_a_revised_index_is_what_a_new_one_would_be(
    first: dict[str, tuple[list[str], str | None, bool, bool]],
    changes: dict[str, tuple[list[str], str | None, bool, bool]],
    least: int,
) -> None:
    def make(name: str, said: tuple[list[str], str | None, bool, bool]) -> Webhook:
        patterns, tenant, active, ordered = said
        return webhook(name, *patterns, tenant=tenant, active=active, ordered=ordered)

    fixed = {f"fixed{n}": make(f"fixed{n}", (["a", "a.*"], None, True, False)) for n in range(least * 40)}
    before = {**fixed, **{name: make(name, said) for name, said in first.items()}}
    after = {name: webhook for name, webhook in before.items() if name in fixed or name in changes or len(name) % 2}
    after = {**{name: make(name, said) for name, said in changes.items() if name not in before}, **after}
    after.update({name: make(name, said) for name, said in changes.items() if name in before})
    revised, new = revise_index(build_index(before.values()), before, after), build_index(after.values())
    for event_type in ("a", "a.b", "b", "c", "hookd.delivery.dead"):
        for tenant in (None, "t", "u"):
            routes, others = revised.routes_for(event_type, tenant), new.routes_for(event_type, tenant)
            assert routes == others
            assert all(one.webhook is after[one.webhook.id] for one in routes)
