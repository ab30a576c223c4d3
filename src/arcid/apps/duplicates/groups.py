"""Pairs → groups of people who may all be one, and never two who are known not to be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from arcid.apps.duplicates.records import APART, Group, Pair, Side


def groups(pairs: Sequence[Pair], apart: Iterable[tuple[str, str]] = ()) -> list[Group]:
    """Connected components of ``pairs``, the most probable edges first, the largest groups first.

    An edge that would put two people into one group who cannot be one (``apart``, and pairs whose
    state says so) joins nothing; it is named among the group's ``refused``.
    """
    edges = [pair for pair in pairs if pair.state not in APART]
    never = {frozenset(couple) for couple in apart}
    never |= {_couple(pair) for pair in pairs if pair.state in APART}
    sides = {side.person_id: side for pair in edges for side in (pair.a, pair.b)}
    member: dict[str, set[str]] = {uid: {uid} for uid in sides}
    joined: dict[str, list[Pair]] = {}
    refused: list[Pair] = []
    for pair in sorted(edges, key=lambda one: (-one.cosine, one.id)):
        a, b = member[pair.a.person_id], member[pair.b.person_id]
        if a is b:
            continue
        if any(frozenset((x, y)) in never for x in a for y in b):
            refused.append(pair)
            continue
        a |= b
        for uid in b:
            member[uid] = a
        joined.setdefault(pair.a.person_id, []).append(pair)
    found = {id(of): of for of in member.values() if len(of) > 1}
    made = [
        _group([sides[uid] for uid in of], edges, [p for p in refused if _couple(p) & of], joined)
        for of in found.values()
    ]
    return sorted(made, key=lambda one: (-len(one.people), -one.cosine, one.people[0].person_id))


def _group(
    people: Sequence[Side],
    edges: Sequence[Pair],
    refused: Sequence[Pair],
    joined: dict[str, list[Pair]],
) -> Group:
    of = {side.person_id for side in people}
    inside = sorted((p for p in edges if _couple(p) <= of), key=lambda p: (-p.cosine, p.id))
    needed = [pair.cosine for uid in of for pair in joined.get(uid, ())]
    return Group(
        tuple(sorted(people, key=lambda side: (side.name.casefold(), side.person_id))),
        tuple(pair.id for pair in inside),
        tuple(pair.id for pair in refused),
        min(needed),
    )


def _couple(pair: Pair) -> frozenset[str]:
    return frozenset((pair.a.person_id, pair.b.person_id))
