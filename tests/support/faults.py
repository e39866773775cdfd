"""Faults of the Messages API, strewn over the answers of a test: what passes, and so has to be tried again."""

import threading
from collections import Counter
from collections.abc import Callable
from random import Random

from tests.support.messages_api import Answer, Body, HttpReply, error, prompt_of, text, turn_of

FAULTS = {
    "429": error(429, "rate_limit_error", "Slow down", headers={"retry-after-ms": "50"}),
    "529": error(529, "overloaded_error", "Overloaded"),
    "500": error(500, "api_error", "Internal server error"),
    "503": HttpReply(503, "<h1>Service unavailable</h1>", {"content-type": "text/html"}),  # not the API's: a proxy's
    "408": error(408, "timeout_error", "Request timed out"),
    "409": error(409, "conflict_error", "Conflict"),
    "drop": HttpReply(200, "", fails="drop"),
    "reset": HttpReply(200, "", fails="reset"),
    "truncate": HttpReply(200, text("This is cut off."), fails="truncate"),
    "garbage": HttpReply(200, '{"type": "message", "content": [', {"content-type": "application/json"}),
    "error in 200": error(200, "overloaded_error", "Overloaded"),
    "silent": HttpReply(200, "", fails="silent"),
}
"""Every kind of fault, by its name."""

MAX_IN_A_ROW = 3


class Faulty:
    """An answer function with faults: `MessagesApi(Faulty(scripted(...), seed=1, rate=0.2))`.

    A share `rate` of the requests gets a fault in place of its answer. Which ones, and which fault, hangs on the
    seed, the prompt, the turn, and how often that turn of that prompt was asked for before: not on the order in
    which conversations arrive. A turn that met `MAX_IN_A_ROW` faults is answered, so a client that tries once more
    always comes through, if no two conversations share a prompt. `silent=False` leaves that fault out, for a client
    that would wait for minutes.
    """

    def __init__(self, answer: Callable[[Body], Answer], *, seed: int, rate: float, silent: bool = True) -> None:
        self.made: Counter[str] = Counter()  # how many faults of each kind
        self._answer = answer
        self._seed = seed
        self._rate = rate
        self._kinds = [kind for kind in FAULTS if silent or kind != "silent"]
        self._asked: Counter[tuple[str, int]] = Counter()
        self._in_a_row: Counter[tuple[str, int]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, body: Body) -> Answer:
        kind = self._fault(prompt_of(body), turn_of(body))
        return self._answer(body) if kind is None else FAULTS[kind]

    def _fault(self, prompt: str, turn: int) -> str | None:
        """The kind of fault that this request meets, which is counted; None when it is to be answered."""
        place = prompt, turn
        with self._lock:
            drawn = Random(f"{self._seed} {turn} {self._asked[place]} {prompt}")  # a str is hashed, alike everywhere
            self._asked[place] += 1
            if drawn.random() >= self._rate or self._in_a_row[place] == MAX_IN_A_ROW:
                self._in_a_row[place] = 0
                return None
            self._in_a_row[place] += 1
            kind = drawn.choice(self._kinds)
            self.made[kind] += 1
            return kind
