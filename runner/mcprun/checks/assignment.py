"""Assign as many units of demand to units of supply as possible: maximum flow in a bipartite graph. Pure.

E. A. Dinic's algorithm (1970): the number of phases is at most about the square root of the number of nodes, and each
phase visits every edge once. With demands and supplies of 1 it is the algorithm of Hopcroft and Karp (1973). It does
not recurse.
"""

from __future__ import annotations

from collections.abc import Sequence

Flow = list[dict[int, int]]
"""For each demand, the number of its units that each supply meets."""


def assign(demands: Sequence[int], supplies: Sequence[int], edges: Sequence[Sequence[int]]) -> Flow:
    """Return an assignment of as many units as possible. `edges` lists, for each demand, the supplies that can meet it.

    Supplies that come earlier in a list are preferred.
    """
    network = _Network(list(demands), list(supplies), edges)
    while network.find_levels():
        for demand, wanted in enumerate(demands):
            for _ in range(wanted):
                if not network.left[demand] or not network.augment(demand):
                    break
    return network.flow


class _Network:
    """The `flow` assigned so far, and the unassigned units of the demands (`left`) and the supplies (`free`)."""

    def __init__(self, left: list[int], free: list[int], edges: Sequence[Sequence[int]]) -> None:
        self.left, self.free, self.edges = left, free, edges
        self.flow: Flow = [{} for _ in left]
        self._users: list[dict[int, None]] = [{} for _ in free]  # the demands that each supply meets, in order
        self._levels: list[int] = []
        self._supply_levels: list[int] = []
        self._next: list[int] = []
        self._waiting: dict[int, list[int]] = {}

    def find_levels(self) -> bool:
        """Compute the distance of each demand from an unmet one; return whether a free supply is reachable."""
        self._levels = [0 if units else -1 for units in self.left]
        self._next = [0] * len(self.left)
        self._waiting = {}
        self._supply_levels = [-1] * len(self.free)
        level = [demand for demand, units in enumerate(self.left) if units]
        is_found = False
        while level and not is_found:
            following: list[int] = []
            for demand in level:
                for supply in self.edges[demand]:
                    if self._supply_levels[supply] >= 0:
                        continue
                    self._supply_levels[supply] = self._levels[demand]
                    is_found = is_found or self.free[supply] > 0
                    for other in self._users[supply]:
                        if self._levels[other] < 0:
                            self._levels[other] = self._levels[demand] + 1
                            following.append(other)
            level = following
        return is_found

    def augment(self, start: int) -> bool:
        """Assign units of a demand along a shortest path of reassignments; return whether there is such a path."""
        path: list[tuple[int, int]] = []  # a demand, and the supply that it takes from the next demand
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
        """Return a supply that a demand can take, and the demand to take it from, which is None if it is free.

        Return None if there is no such supply.
        """
        edges = self.edges[demand]
        while self._next[demand] < len(edges):
            supply = edges[self._next[demand]]
            if self._supply_levels[supply] != self._levels[demand]:  # not on a shortest path from here
                self._next[demand] += 1
                continue
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
        """Reassign as many units along a path as its narrowest step allows."""
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
