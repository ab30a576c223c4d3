"""Wrong guesses of a secret, held back by client."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from ipaddress import IPv6Address

from arcid.server.addresses import ip_of

FIRST_WAIT_S, LONGEST_WAIT_S = 15, 900
FORGET_S = 3600.0
FREE_TRIES = 10
CLIENTS = 4096  # the longest unseen of more are forgotten


def wait_after_s(failures: int, free: int) -> float:
    """What the next try waits after so many wrong ones: none at first, then doubling."""
    over = failures - free
    return 0.0 if over < 0 else min(FIRST_WAIT_S * 2.0 ** min(over, 10), LONGEST_WAIT_S)


def client_of(address: str) -> str:
    """Who counts as one: an IPv4 address, or the /64 of an IPv6 one, which belongs to one line."""
    ip = ip_of(address)
    if ip is None:
        return address[:64]
    if isinstance(ip, IPv6Address) and not ip.is_loopback:
        return str(IPv6Address(int(ip) >> 64 << 64)) + "/64"
    return str(ip)


@dataclass(slots=True)
class _Client:
    failures: int = 0
    last_s: float = 0.0
    shown: set[str] = field(default_factory=set)  # right secrets, by name


class Throttle:
    """In the memory of one process, bounded; touched by the event loop only.

    Somebody who guesses cannot keep out a secret that the same address has shown rightly before,
    and never anybody at another address.
    """

    def __init__(self, free: int = FREE_TRIES) -> None:
        self._free = free
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """How long the next guess of this client has to wait; 0: not at all."""
        known = self._clients.get(client_of(address))
        if known is None:
            return 0.0
        since_s = time.monotonic() - known.last_s
        return max(0.0, wait_after_s(known.failures, self._free) - since_s)

    def failed(self, address: str) -> None:
        """One wrong guess more."""
        known, now_s = self._known(address), time.monotonic()
        known.failures = 1 if known.last_s + FORGET_S < now_s else known.failures + 1
        known.last_s = now_s

    def right(self, address: str, name: str) -> None:
        """This client showed the secret of that name."""
        self._known(address).shown.add(name)

    def has_shown(self, address: str, name: str) -> bool:
        """Whether ``right`` was called for both, as far back as is remembered."""
        known = self._clients.get(client_of(address))
        return known is not None and name in known.shown

    def _known(self, address: str) -> _Client:
        client = client_of(address)
        known = self._clients.setdefault(client, _Client())
        self._clients.move_to_end(client)
        while len(self._clients) > CLIENTS:
            self._clients.popitem(last=False)
        return known
