"""Which person each face of one photo is, when no person may be two of them.

The Hungarian method with potentials (Kuhn 1955, Munkres 1957; shortest augmenting paths after
Jonker and Volgenant, 1987), on the few candidates per face that a search returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from arcid.gallery.index import PersonHit

_FORBIDDEN = 1e6  # costs of real pairs lie in 0–2


def assign(cost: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """(R,C) costs, R <= C, in; per row its column out, (R,), so that the total is least."""
    rows, columns = cost.shape
    row_potential = np.zeros(rows + 1)
    column_potential = np.zeros(columns + 1)
    owner = np.zeros(columns + 1, np.intp)  # row (from 1) that holds a column, 0 if free
    for row in range(1, rows + 1):
        owner[0] = row
        column = 0
        slack = np.full(columns + 1, np.inf)
        came_from = np.zeros(columns + 1, np.intp)
        visited = np.zeros(columns + 1, bool)
        while owner[column]:
            visited[column] = True
            reduced = cost[owner[column] - 1] - row_potential[owner[column]] - column_potential[1:]
            better = ~visited[1:] & (reduced < slack[1:])
            slack[1:][better] = reduced[better]
            came_from[1:][better] = column
            open_slack = np.where(visited, np.inf, slack)
            open_slack[0] = np.inf
            column = int(open_slack.argmin())
            step = open_slack[column]
            row_potential[owner[visited]] += step
            column_potential[visited] -= step
            slack[~visited] -= step
        while column:
            owner[column] = owner[came_from[column]]
            column = int(came_from[column])
    chosen = np.zeros(rows, np.intp)
    for column in range(1, columns + 1):
        if owner[column]:
            chosen[owner[column] - 1] = column - 1
    return chosen


def one_photo(found: Sequence[Sequence[PersonHit]], k: int) -> list[list[PersonHit]]:
    """Give every probe another person so that the total cosine is greatest; best k each.

    ``found`` holds at least k + Q - 1 people per probe, or all there are: the best assignment then
    never needs a person outside it. A probe's list holds the people not given to other probes; the
    nearest of all, where another probe was given them, stands last with ``given_to`` set, unless
    k is 1 and somebody else is left.
    """
    people = sorted({hit.person_key for hits in found for hit in hits})
    column = {person: i for i, person in enumerate(people)}
    probes = len(found)
    # Columns past the people stand for "nobody": worse than anyone, better than a wrong list.
    cost = np.full((probes, len(people) + probes), _FORBIDDEN)
    cost[:, len(people) :] = _FORBIDDEN / 1e3
    for row, hits in enumerate(found):
        for hit in hits:
            cost[row, column[hit.person_key]] = 1.0 - hit.cosine
    given = assign(cost)
    taken = {people[c]: row for row, c in enumerate(given) if c < len(people)}
    return [_left(row, hits, taken, k) for row, hits in enumerate(found)]


def _left(row: int, hits: Sequence[PersonHit], taken: dict[int, int], k: int) -> list[PersonHit]:
    free = [hit for hit in hits if taken.get(hit.person_key, row) == row]
    owner = taken.get(hits[0].person_key, row) if hits else row
    if owner == row or (free and k == 1):
        return free[:k]
    return [*free[: k - 1], replace(hits[0], given_to=owner)]
