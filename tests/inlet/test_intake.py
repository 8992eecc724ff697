"""The one door: nothing is answered before it is stored, all that waits is stored at once, nobody waits for ever."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import structlog
import trio
import trio.testing
from structlog.testing import capture_logs

from hookd.core.config import EventType, Fault
from hookd.core.lines import TOO_LONG
from hookd.core.model import Accepted, Duplicate, Event, Owed, Refusal, RefusalCode
from hookd.inlet import intake as intake_module
from hookd.store.base import Failed, New
from tests.inlet.door import Door, make_config, make_line, make_webhook, open_door

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest

    from hookd.core.model import Reply
    from hookd.inlet.intake import Ticket
    from hookd.store.base import Entry, EntryResult


async def _offer(door: Door, *lines: bytes, tenant: str | None = None) -> Ticket:
    return await door.intake.offer([door.intake.judge_line(line, tenant) for line in lines], inlet="unix", uid=7)


async def _reply(door: Door, *lines: bytes, tenant: str | None = None) -> tuple[Reply, ...]:
    with trio.fail_after(5):
        return await (await _offer(door, *lines, tenant=tenant)).replies()


def _code(reply: Reply) -> RefusalCode:
    assert isinstance(reply, Refusal), reply
    return reply.code


# --------------------------------------------------------------------------- replies


async def test_nothing_is_answered_before_it_is_stored() -> None:
    async with open_door() as door:
        door.store.hold()
        ticket = await _offer(door, make_line("1"))
        await trio.testing.wait_all_tasks_blocked()
        assert door.store.given
        assert not ticket.done
        door.store.gate.set()
        assert await ticket.replies() == (Accepted(id="1", deliveries=0),)


async def test_each_event_has_its_reply_in_order() -> None:
    async with open_door() as door:
        replies = await _reply(
            door, make_line("1"), b"{", make_line(), make_line("1"), make_line("1", data=1), make_line("2", tenant=5)
        )
        assert replies[:1] == (Accepted(id="1", deliveries=0),)
        assert replies[2:4] == (Accepted(id="made-1", deliveries=0), Duplicate(id="1"))
        assert [_code(replies[place]) for place in (1, 4, 5)] == [
            RefusalCode.MALFORMED_JSON,
            RefusalCode.ID_CONFLICT,
            RefusalCode.INVALID_EVENT,
        ]
        assert await _reply(door, make_line("1")) == (Duplicate(id="1"),)


async def test_nothing_but_refusals_needs_no_store() -> None:
    async with open_door() as door:
        replies = await _reply(door, b"nonsense")
        assert _code(replies[0]) is RefusalCode.MALFORMED_JSON
        assert await _reply(door) == ()
        assert door.store.batches == []


async def test_what_the_store_refuses_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_door() as door:

        async def accept(entries: Sequence[Entry], _room: Mapping[str, int], _now: int) -> Sequence[EntryResult]:
            await trio.lowlevel.checkpoint()
            return [
                New() if entry.event.id == "1" else Failed(code=RefusalCode.DISK_LOW, message="no room")
                for entry in entries
            ]

        monkeypatch.setattr(door.store, "accept", accept)
        replies = await _reply(door, make_line("1"), make_line("2"))
        assert replies == (
            Accepted(id="1", deliveries=0),
            Refusal(code=RefusalCode.DISK_LOW, message="no room", id="2", type="user.updated"),
        )


async def test_a_bound_sender_is_held_to_its_tenant() -> None:
    async with open_door() as door:
        replies = await _reply(door, make_line("1"), make_line("2", tenant="b"), tenant="a")
        assert _code(replies[1]) is RefusalCode.NOT_ALLOWED
        assert [event.tenant for event in door.store.given] == ["a"]


async def test_an_over_long_line_is_too_large() -> None:
    async with open_door() as door:
        refusal = door.intake.judge_line(TOO_LONG)
        assert isinstance(refusal, Refusal)
        assert refusal.code is RefusalCode.TOO_LARGE


class Never:
    """A schema that nothing fits."""

    def fault(self, _value: object) -> Fault:
        return Fault(path="/amount", message="must be a number")


async def test_the_catalogue_judges_every_way_in() -> None:
    config = make_config(types=[EventType(name="order.paid", validator=Never())])
    async with open_door(config) as door:
        intake = door.intake
        line = make_line("1", type="order.paid", data={"amount": "x"})
        headers = [(b"ce-specversion", b"1.0"), (b"ce-id", b"1"), (b"ce-source", b"s"), (b"ce-type", b"order.paid")]
        batch = intake.judge_batch(b"[" + line + b"]")
        assert isinstance(batch, list)
        binary = intake.judge_headers([*headers, (b"content-type", b"application/json")], b'{"amount":"x"}')
        for judged in (intake.judge_line(line), batch[0], binary):
            assert isinstance(judged, Refusal)
            assert (judged.code, judged.path) == (RefusalCode.SCHEMA_INVALID, "/data/amount")
        unknown = intake.judge_line(make_line("1"))
        assert isinstance(unknown, Refusal)
        assert unknown.code is RefusalCode.UNKNOWN_TYPE


# --------------------------------------------------------------------------- routing and claims


async def test_events_are_routed_and_their_claims_handed_over() -> None:
    config = make_config(
        make_webhook("crm", "user.*"), make_webhook("audit", "*"), make_webhook("acme", "*", tenant="acme")
    )
    async with open_door(config) as door:
        replies = await _reply(door, make_line("1"), make_line("2", type="order.paid"), make_line("3", tenant="acme"))
        assert replies == (
            Accepted(id="1", deliveries=2),
            Accepted(id="2", deliveries=1),
            Accepted(id="3", deliveries=1),
        )
        assert {(claim.event.id, claim.webhook) for claim in door.claims} == {
            ("1", "crm"),
            ("1", "audit"),
            ("2", "audit"),
            ("3", "acme"),
        }
        assert door.rooms == [{"crm", "audit", "acme"}]


async def test_a_config_that_came_meanwhile_routes_the_next_offer() -> None:
    async with open_door(make_config(make_webhook("crm", "user.*"))) as door:
        judged = [door.intake.judge_line(make_line("1"))]
        door.config = make_config()
        ticket = await door.intake.offer(judged, inlet="unix")
        assert await ticket.replies() == (Accepted(id="1", deliveries=0),)


async def test_an_event_of_our_own_leaves_its_claims_with_the_caller() -> None:
    async with open_door(make_config(make_webhook("crm", "user.*"))) as door:
        event = Event(id="own", type="hookd.webhook.suspended", accepted_at=0)
        result = await door.intake.submit(event, (Owed(webhook="crm", once=True),))
        assert isinstance(result, New)
        assert [claim.event.id for claim in result.claims] == ["own"]
        assert door.claims == []
        door.store.lost = True
        lost = await door.intake.submit(event, ())
        assert isinstance(lost, Failed)
        assert lost.code is RefusalCode.STORE_FAILED


# --------------------------------------------------------------------------- batches


async def test_what_gathers_while_one_batch_is_stored_makes_the_next() -> None:
    async with open_door() as door:
        door.store.hold()
        tickets = [await _offer(door, make_line("first"))]
        await door.store.began.wait()
        tickets += [await _offer(door, make_line(f"{number}a"), make_line(f"{number}b")) for number in range(50)]
        door.store.gate.set()
        for ticket in tickets:
            await ticket.replies()
        assert [len(batch) for batch in door.store.batches] == [1, 100]
        assert [event.id for event in door.store.given[:4]] == ["first", "0a", "0b", "1a"]


async def test_batches_are_bounded_in_events_and_bytes() -> None:
    async with open_door() as door:
        lines = [make_line(str(number)) for number in range(5_000)]
        assert len(await _reply(door, *lines)) == 5_000
        assert max(map(len, door.store.batches)) <= intake_module.BATCH_EVENTS
        door.store.batches.clear()
        large = "x" * 900_000
        lines = [make_line(f"large{number}", data=large) for number in range(24)]
        assert len(await _reply(door, *lines)) == 24
        sizes = [sum(len(event.data or b"") for event in batch) for batch in door.store.batches]
        assert len(sizes) > 1
        assert max(sizes) <= intake_module.BATCH_BYTES + intake_module.PIECE_BYTES + len(large)


async def test_an_offer_waits_while_too_much_is_queued() -> None:
    async with open_door() as door:
        door.store.hold()
        lines = [make_line(str(number)) for number in range(intake_module.QUEUED_EVENTS)]
        taken = await _offer(door, make_line("taken"))
        await door.store.began.wait()
        queued = await _offer(door, *lines)
        async with trio.open_nursery() as impatient:
            impatient.start_soon(_offer, door, make_line("given up"))
            await trio.testing.wait_all_tasks_blocked()
            impatient.cancel_scope.cancel()
        async with trio.open_nursery() as nursery:
            late: list[tuple[Reply, ...]] = []

            async def offer_late() -> None:
                late.append(await _reply(door, make_line("late")))

            nursery.start_soon(offer_late)
            await trio.testing.wait_all_tasks_blocked()
            assert not late
            door.store.gate.set()
        assert late == [(Accepted(id="late", deliveries=0),)]
        assert taken.done
        assert queued.done
        assert "given up" not in {event.id for event in door.store.given}


# --------------------------------------------------------------------------- the end


async def test_a_lost_store_is_told_to_all_who_wait_and_all_who_come() -> None:
    async with open_door() as door:
        door.store.hold()
        waiting = await _offer(door, make_line("in flight"), make_line())
        await door.store.began.wait()
        queued = await _offer(door, make_line("queued"), b"{")
        door.store.lost = True
        door.store.gate.set()
        replies = [*await waiting.replies(), *await queued.replies(), *await _reply(door, make_line("later"))]
        failed = [reply for reply in replies if isinstance(reply, Refusal) and reply.code is RefusalCode.STORE_FAILED]
        assert [reply.id for reply in failed] == ["in flight", "made-1", "queued", "later"]
        assert all(reply.retry for reply in failed)
        assert len(door.store.batches) == 1


async def test_nobody_waits_for_an_intake_that_was_stopped() -> None:
    async with open_door() as door:
        door.store.hold()
        in_flight = await _offer(door, make_line("1"))
        await door.store.began.wait()
        queued = await _offer(door, make_line("2"))
    with trio.fail_after(5):
        replies = [*await in_flight.replies(), *await queued.replies(), *await _reply(door, make_line("3"))]
    assert [_code(reply) for reply in replies] == [RefusalCode.STORE_FAILED] * 3


# --------------------------------------------------------------------------- the log


async def test_a_refusal_is_told_without_values() -> None:
    async with open_door() as door:
        with capture_logs() as lines:
            await _reply(door, make_line("1", tennant="hunter2", data={"password": "hunter2"}), b'{"hunter2')
            await _reply(door, make_line("2", data="hunter2"))
            await _reply(door, make_line("2", data="hunter3"))
        refused = [line for line in lines if line["event"] == "event.refused"]
        assert refused[0] == {
            "event": "event.refused",
            "log_level": "info",
            "code": "invalid_event",
            "message": 'unknown attribute "tennant"; did you mean "tenant"?',
            "path": "/tennant",
            "event_id": "1",
            "event_type": "user.updated",
            "inlet": "unix",
            "uid": 7,
        }
        assert [line["code"] for line in refused] == ["invalid_event", "malformed_json", "id_conflict"]
        assert "hunter" not in repr(lines)


async def test_a_flood_of_refusals_is_told_by_its_number(mock_clock: trio.testing.MockClock) -> None:
    async with open_door() as door:
        with capture_logs() as lines:
            await _reply(door, *[b"{"] * 350)
            await trio.testing.wait_all_tasks_blocked()
            assert len(lines) == 100
            mock_clock.jump(1.5)
            await trio.testing.wait_all_tasks_blocked()
            assert lines[100:] == [{"event": "event.refused", "log_level": "info", "suppressed": 250}]
            await _reply(door, b"{")
            assert len(lines) == 102
            mock_clock.jump(5)
            await trio.testing.wait_all_tasks_blocked()
            assert len(lines) == 102


async def test_accepted_events_are_told_at_debug_only() -> None:
    async with open_door(make_config(make_webhook("crm", "user.*", tenant="*"))) as door:
        with capture_logs() as lines:
            await _reply(door, make_line("1", tenant="acme"), make_line("1", tenant="acme"))
        assert lines == [
            {
                "event": "event.accepted",
                "log_level": "debug",
                "event_id": "1",
                "event_type": "user.updated",
                "tenant": "acme",
                "deliveries": 1,
            }
        ]
        before = structlog.get_config()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
        try:
            with capture_logs() as lines:
                await _reply(door, make_line("2"))
            assert lines == []
        finally:
            structlog.configure(**before)
