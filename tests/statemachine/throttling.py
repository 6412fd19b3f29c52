"""Executions of the definition in simulated time, in an account that runs only so many Lambda calls at once.

Retriers, concurrency of the Map and the order of the states are read from the definition. A call that finds no free
place is refused at once with Lambda.TooManyRequestsException; the retrier that names it decides what follows. Nothing
waits in real time, and a seed makes every run the same.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random

from tests.statemachine import definition as asl

THROTTLED = "Lambda.TooManyRequestsException"

Process = Generator[float, None, None]
"""Something that takes time: it yields the seconds until it continues."""


class ThrottledError(Exception):
    """A task was refused more often than its retriers allow."""


@dataclass
class Account:
    """The clock, the places for Lambda calls, and what waits."""

    places: int
    seed: int
    now: float = 0.0
    busy: int = 0
    refused: int = 0
    """Calls that found no place."""

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self._waiting: list[tuple[float, int, Process]] = []
        self._order = count()

    def start(self, process: Process, after: float = 0.0) -> None:
        """Continue a process after some seconds."""
        heappush(self._waiting, (self.now + after, next(self._order), process))

    def run(self) -> None:
        """Let everything run to its end."""
        while self._waiting:
            self.now, _, process = heappop(self._waiting)
            seconds = next(process, None)
            if seconds is not None:
                self.start(process, seconds)

    def call(self, seconds: float) -> Generator[float, None, bool]:
        """A Lambda call of so many seconds; False where it was refused."""
        if self.busy >= self.places:
            self.refused += 1
            return False
        self.busy += 1
        yield seconds
        self.busy -= 1
        return True

    def event(self, seconds: float) -> Process:
        """An asynchronous call, which Lambda repeats for as long as it is throttled.

        Lambda waits 1 second at first and 5 minutes at most (lambda/latest/dg/invocation-async-error-handling.html).
        """
        wait = 1.0
        while not (yield from self.call(seconds)):
            yield wait
            wait = min(2 * wait, 300.0)


@dataclass
class Execution:
    """One execution of a file that is published when no task is refused for too long."""

    account: Account
    definition: asl.Definition
    chunks: int
    seconds: Mapping[str, float]
    """How long a call of each function takes."""
    ended: float | None = None
    failed: bool = False
    events: int = 0
    """Of its history, as far as tasks and iterations go."""
    longest_wait: float = 0.0
    """The longest that one task waited for its retries, all together."""
    _left: Iterator[int] = field(init=False)
    _running: int = 0

    def process(self) -> Process:
        """The starter's call, and then the execution."""
        yield from self.account.event(self.seconds["starter"])
        fan_out = next(state for state in self.definition["States"].values() if state["Type"] == "Map")
        self._left = iter(range(self.chunks))
        self._running = min(fan_out["MaxConcurrency"], self.chunks)
        for _ in range(self._running):
            self.account.start(self._iterations(fan_out["ItemProcessor"]["States"]))

    def _iterations(self, tasks: Mapping[str, asl.State]) -> Process:
        """One of the places of the Map: it takes a chunk after the other."""
        for _ in self._left:
            self.events += asl.EVENTS_OF_AN_ITERATION
            for task in tasks.values():
                try:
                    yield from self._task(task)
                except ThrottledError:
                    self.failed = True
            if self.failed:
                break
        self._running -= 1
        if not self._running:
            self.account.start(self._end())

    def _end(self) -> Process:
        if not self.failed:
            try:
                yield from self._task(self.definition["States"]["Write"])
            except ThrottledError:
                self.failed = True
        self.ended = self.account.now
        yield from self.account.event(self.seconds["record_run"])

    def _task(self, task: asl.State) -> Process:
        function = asl.function_of(task)
        assert function
        retrier = asl.retrier_of(task, THROTTLED)
        waits = drawn(retrier, self.account.random) if retrier else iter(())
        waited = 0.0
        self.events += asl.EVENTS_OF_A_STATE
        while True:
            self.events += asl.EVENTS_OF_A_TRY
            if (yield from self.account.call(self.seconds[function])):
                return
            wait = next(waits, None)
            if wait is None:
                raise ThrottledError(function)
            waited += wait
            self.longest_wait = max(self.longest_wait, waited)
            yield wait


def drawn(retrier: asl.State, random: Random) -> Iterator[float]:
    """The waits of a retrier, in seconds, as its jitter draws them."""
    for longest in asl.waits(retrier):
        yield random.uniform(0, longest) if retrier["JitterStrategy"] == "FULL" else longest


def simulate(
    definition: asl.Definition, *, files: int, chunks: int, places: int, seconds: Mapping[str, float], seed: int
) -> tuple[Account, list[Execution]]:
    """Files that arrive in the same second, to the end of the last one."""
    account = Account(places, seed)
    executions = [Execution(account, definition, chunks, seconds) for _ in range(files)]
    for execution in executions:
        account.start(execution.process())
    account.run()
    return account, executions
