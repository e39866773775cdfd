"""Assign units of demand to units of supply, as many as possible: maximum flow in a bipartite graph. Pure.

E. A. Dinic's algorithm (1970): at most about the square root of the number of nodes in phases, each of which looks at
every edge once. With demands and supplies of 1 it is that of Hopcroft and Karp (1973). It does not recurse.
"""

from __future__ import annotations

from collections.abc import Sequence

Flow = list[dict[int, int]]
"""For each demand, how many units of it each supply meets."""


def assign(demands: Sequence[int], supplies: Sequence[int], edges: Sequence[Sequence[int]]) -> Flow:
    """Assign as many units as possible. `edges` holds, for each demand, the supplies that can meet it.

    Earlier supplies in a list of edges are preferred.
    """
    network = _Network(list(demands), list(supplies), edges)
    while network.find_levels():
        for demand, wanted in enumerate(demands):
            for _ in range(wanted):
                if not network.left[demand] or not network.augment(demand):
                    break
    return network.flow


class _Network:
    """What is assigned, and what is `left` of the demands and `free` of the supplies."""

    def __init__(self, left: list[int], free: list[int], edges: Sequence[Sequence[int]]) -> None:
        self.left, self.free, self.edges = left, free, edges
        self.flow: Flow = [{} for _ in left]
        self._users: list[dict[int, None]] = [{} for _ in free]  # the demands that each supply meets, in order
        self._levels: list[int] = []
        self._next: list[int] = []
        self._waiting: dict[int, list[int]] = {}

    def find_levels(self) -> bool:
        """Find how far each demand is from one that is not met; return whether a free supply can be reached."""
        self._levels = [0 if units else -1 for units in self.left]
        self._next = [0] * len(self.left)
        self._waiting = {}
        seen = [False] * len(self.free)
        level = [demand for demand, units in enumerate(self.left) if units]
        is_found = False
        while level and not is_found:
            following: list[int] = []
            for demand in level:
                for supply in self.edges[demand]:
                    if seen[supply]:
                        continue
                    seen[supply] = True
                    is_found = is_found or self.free[supply] > 0
                    for other in self._users[supply]:
                        if self._levels[other] < 0:
                            self._levels[other] = self._levels[demand] + 1
                            following.append(other)
            level = following
        return is_found

    def augment(self, start: int) -> bool:
        """Assign units of a demand along a shortest path of reassignments; return whether there is one."""
        path: list[tuple[int, int]] = []  # a demand, and the supply that it takes from the demand after it
        demand = start
        while True:
            step = self._step(demand)
            if step is None:
                self._levels[demand] = -1  # a dead end
                if not path:
                    return False
                demand, _ = path.pop()
                continue
            supply, other = step
            path.append((demand, supply))
            if other is None:
                self._reassign(start, path)
                return True
            demand = other

    def _step(self, demand: int) -> tuple[int, int | None] | None:
        """Return a supply that a demand may take, and the demand that it is taken from, None if it is free."""
        edges = self.edges[demand]
        while self._next[demand] < len(edges):
            supply = edges[self._next[demand]]
            if self.free[supply]:
                return supply, None
            if supply not in self._waiting:
                self._waiting[supply] = list(reversed(self._users[supply]))
            waiting = self._waiting[supply]
            while waiting:
                if self._levels[waiting[-1]] == self._levels[demand] + 1 and supply in self.flow[waiting[-1]]:
                    return supply, waiting[-1]
                waiting.pop()
            self._next[demand] += 1
        return None

    def _reassign(self, start: int, path: Sequence[tuple[int, int]]) -> None:
        """Move as many units along a path as its narrowest step allows."""
        losers = [demand for demand, _ in path[1:]]
        taken = [self.flow[other][supply] for other, (_, supply) in zip(losers, path, strict=False)]
        units = min(self.left[start], self.free[path[-1][1]], *taken)
        for number, (demand, supply) in enumerate(path):
            self.flow[demand][supply] = self.flow[demand].get(supply, 0) + units
            self._users[supply][demand] = None
            if number < len(losers):
                other = losers[number]
                self.flow[other][supply] -= units
                if not self.flow[other][supply]:
                    del self.flow[other][supply], self._users[supply][other]
        self.left[start] -= units
        self.free[path[-1][1]] -= units
