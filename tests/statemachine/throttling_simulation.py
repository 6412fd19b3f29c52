"""Simulate executions of the definition in an account with a limited number of concurrent Lambda calls.

Retriers, the concurrency of the Map and the order of the states are read from the definition. A call without a free
slot is refused at once with Lambda.TooManyRequestsException. The retrier that names this error decides what follows.
No test waits in real time, and a seed makes every run the same.
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
    """The clock, the slots for Lambda calls, and the processes that wait."""

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
        """Run all processes to their end."""
        while self._waiting:
            self.now, _, process = heappop(self._waiting)
            seconds = next(process, None)
            if seconds is not None:
                self.start(process, seconds)

    def call(self, seconds: float) -> Generator[float, None, bool]:
        """A Lambda call that takes some seconds; False if it was refused."""
        if self.busy >= self.places:
            self.refused += 1
            return False
        self.busy += 1
        yield seconds
        self.busy -= 1
        return True

    def event(self, seconds: float) -> Process:
        """An asynchronous call, which Lambda repeats as long as it is throttled.

        Lambda waits 1 second at first and 5 minutes at most (lambda/latest/dg/invocation-async-error-handling.html).
        """
        wait = 1.0
        while not (yield from self.call(seconds)):
            yield wait
            wait = min(2 * wait, 300.0)


@dataclass
class Execution:
    """One execution of a file, which is published unless a task is refused too often."""

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
        """The starter's call, followed by the execution."""
        yield from self.account.event(self.seconds["starter"])
        fan_out = next(state for state in self.definition["States"].values() if state["Type"] == "Map")
        self._left = iter(range(self.chunks))
        self._running = min(fan_out["MaxConcurrency"], self.chunks)
        for _ in range(self._running):
            self.account.start(self._iterations(fan_out["ItemProcessor"]["States"]))

    def _iterations(self, tasks: Mapping[str, asl.State]) -> Process:
        """One concurrent iteration of the Map: it processes one chunk after another."""
        for _ in self._left:
            self.events += asl.EVENTS_PER_ITERATION
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
        self.events += asl.EVENTS_PER_STATE
        while True:
            self.events += asl.EVENTS_PER_ATTEMPT
            if (yield from self.account.call(self.seconds[function])):
                return
            wait = next(waits, None)
            if wait is None:
                raise ThrottledError(function)
            waited += wait
            self.longest_wait = max(self.longest_wait, waited)
            yield wait


def drawn(retrier: asl.State, random: Random) -> Iterator[float]:
    """The waits of a retrier in seconds, drawn with its jitter."""
    for longest in asl.waits(retrier):
        yield random.uniform(0, longest) if retrier["JitterStrategy"] == "FULL" else longest


def simulate(
    definition: asl.Definition, *, files: int, chunks: int, places: int, seconds: Mapping[str, float], seed: int
) -> tuple[Account, list[Execution]]:
    """Files that arrive in the same second, simulated until the last one ends."""
    account = Account(places, seed)
    executions = [Execution(account, definition, chunks, seconds) for _ in range(files)]
    for execution in executions:
        account.start(execution.process())
    account.run()
    return account, executions
