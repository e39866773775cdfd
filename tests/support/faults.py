"""Inject transient faults, which a client must retry, into the answers of the Messages API stand-in."""

import threading
from collections import Counter
from collections.abc import Callable
from random import Random

from tests.support.messages_api import Answer, Body, HttpReply, error, prompt_of, text, turn_of

FAULTS = {
    "429": error(429, "rate_limit_error", "Slow down", headers={"retry-after-ms": "50"}),
    "529": error(529, "overloaded_error", "Overloaded"),
    "500": error(500, "api_error", "Internal server error"),
    "503": HttpReply(503, "<h1>Service unavailable</h1>", {"content-type": "text/html"}),  # as from a proxy
    "408": error(408, "timeout_error", "Request timed out"),
    "409": error(409, "conflict_error", "Conflict"),
    "drop": HttpReply(200, "", fails="drop"),
    "reset": HttpReply(200, "", fails="reset"),
    "truncate": HttpReply(200, text("This is cut off."), fails="truncate"),
    "garbage": HttpReply(200, '{"type": "message", "content": [', {"content-type": "application/json"}),
    "error in 200": error(200, "overloaded_error", "Overloaded"),
    "silent": HttpReply(200, "", fails="silent"),
}
"""The faults, by kind."""

MAX_IN_A_ROW = 3


class Faulty:
    """An answer function with faults: `MessagesApi(Faulty(scripted(...), seed=1, rate=0.2))`.

    A share `rate` of the requests receives a fault in place of its answer. Which requests and which faults depends on
    the seed, the prompt, the turn, and the number of earlier requests for that turn, but not on the order in which
    conversations arrive. After `MAX_IN_A_ROW` faults a turn is answered, so a client that retries that often always
    succeeds, provided that no two conversations share a prompt. `silent=False` omits the fault `silent`, on which a
    client would wait for minutes.
    """

    def __init__(self, answer: Callable[[Body], Answer], *, seed: int, rate: float, silent: bool = True) -> None:
        self.made: Counter[str] = Counter()  # the number of injected faults of each kind
        self._answer = answer
        self._seed = seed
        self._rate = rate
        self._kinds = [kind for kind in FAULTS if silent or kind != "silent"]
        self._requests: Counter[tuple[str, int]] = Counter()
        self._in_a_row: Counter[tuple[str, int]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, body: Body) -> Answer:
        kind = self._fault(prompt_of(body), turn_of(body))
        return self._answer(body) if kind is None else FAULTS[kind]

    def _fault(self, prompt: str, turn: int) -> str | None:
        """Choose and count the kind of fault for this request; None if it is answered."""
        key = prompt, turn
        with self._lock:
            # Random hashes a str by SHA-512, so that PYTHONHASHSEED does not matter.
            rng = Random(f"{self._seed} {turn} {self._requests[key]} {prompt}")
            self._requests[key] += 1
            if rng.random() >= self._rate or self._in_a_row[key] == MAX_IN_A_ROW:
                self._in_a_row[key] = 0
                return None
            self._in_a_row[key] += 1
            kind = rng.choice(self._kinds)
            self.made[kind] += 1
            return kind
