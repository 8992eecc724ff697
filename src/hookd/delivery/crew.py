"""Who makes the attempts: flights, which nobody waits for, and workers, who wait.

Rules of this module:

1. What the sender can start at once is a flight: no task waits for it, and when it lands what is next is started. Most
   attempts are, and a task for each would double what they cost.
2. All else (a connection is to be made, something failed before it was sent, a test, the recorder has no room) goes to
   workers for all lanes, at most `limits.concurrency`, that park when there is nothing for them.
3. How many attempts are under way is for the lanes to say. A claim that was taken from them is in flight or with a
   worker until `came` is called with it, or `abandon` gives it back.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from hookd.delivery.attempter import Begun, Withheld

if TYPE_CHECKING:
    from collections.abc import Callable

    from hookd.core.model import Claim
    from hookd.delivery.attempter import Attempted, Attempter
    from hookd.delivery.lane import Lane
    from hookd.delivery.lanes import Lanes
    from hookd.delivery.recorder import Recorder
    from hookd.delivery.sender import Flight

DRAINING: Final = Withheld("hookd is stopping")


class Crew:
    """Makes the attempts that the lanes allow. State: flights, workers, and what waits for a worker.

    `came` takes what came of a claim; the lanes know then that it is over.
    """

    def __init__(
        self,
        lanes: Lanes,
        attempter: Attempter,
        recorder: Recorder,
        limit: int,
        came: Callable[[Lane, Claim, Attempted], None],
    ) -> None:
        self._lanes = lanes
        self._attempter = attempter
        self._recorder = recorder
        self._limit = limit
        self._came = came
        self._nursery: trio.Nursery | None = None
        self._size = 0
        self._idle = 0
        self._lot = trio.lowlevel.ParkingLot()
        self._handed: deque[tuple[Lane, Claim, Begun | None]] = deque()
        self._flights: dict[Flight, Begun] = {}
        self._landed = self._land  # made once: a bound method is an object

    def open(self, nursery: trio.Nursery) -> None:
        """Begin to work; the workers are tasks of `nursery`."""
        self._nursery = nursery

    def kick(self) -> None:
        """Start all that may start."""
        if self._nursery is None:
            return
        lanes, attempter, recorder = self._lanes, self._attempter, self._recorder
        while (pair := lanes.next()) is not None:
            lane, claim = pair
            begun = None
            if not recorder.full and not claim.once:
                made = attempter.begin(lane, claim)
                if type(made) is Begun:
                    begun = made
                    flight = attempter.start(begun, self._landed)
                    if flight is not None:
                        self._flights[flight] = begun
                        continue
            self._hand(lane, claim, begun)

    def abandon(self) -> None:
        """End at once, after the workers: what has not come back by now goes back to the store."""
        self._nursery = None
        claims = [claim for _, claim, _ in self._handed]
        self._handed.clear()
        for flight, begun in self._flights.items():
            flight.abandon()
            claims.append(begun.claim)
        self._flights.clear()
        if claims:
            self._recorder.give_back(claims)

    def _land(self, flight: Flight) -> None:
        """Take a flight that has landed, and start what is next."""
        begun, outcome = self._flights.pop(flight), flight.outcome
        if outcome is None:
            raise AssertionError("a flight landed without an outcome")
        self._came(begun.lane, begun.claim, self._attempter.finish(begun, outcome, flight.duration_ms))
        if self._lanes.wanted:
            self.kick()

    def _hand(self, lane: Lane, claim: Claim, begun: Begun | None) -> None:
        """Give an attempt to a worker: an idle one, or a new one, or who is free next."""
        self._handed.append((lane, claim, begun))
        if self._idle:
            self._idle -= 1
            self._lot.unpark()
        elif self._size < self._limit and self._nursery is not None:
            self._size += 1
            self._nursery.start_soon(self._work)

    async def _work(self) -> None:
        """Attempt what is handed over, for ever."""
        lanes, recorder = self._lanes, self._recorder
        while True:
            if not self._handed:
                self._idle += 1
                await self._lot.park()
                continue
            lane, claim, begun = self._handed.popleft()
            try:
                if recorder.full:
                    begun = None  # by then it may be another request
                    await recorder.room()
                attempted = DRAINING if lanes.closed else await self._attempter.attempt(lane, claim, begun)
            except BaseException:
                recorder.give_back([claim])
                raise
            self._came(lane, claim, attempted)
            if lanes.wanted:
                self.kick()
