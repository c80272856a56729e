"""The addresses of a cluster, and the links between the machine and the nodes' network namespaces.

    machine 10.N.0.1 --- node1 10.N.0.11, pods 10.N.16.0/24
           \\---------- node2 10.N.0.12, pods 10.N.17.0/24      node1 --- node2

The machine has the first address on `lo`, a link to each node and routes to the pods and Services; no bridge, no rule
of a firewall, no forwarding. A node has no default route: nothing in the cluster reaches anything but the machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.processes import PeerError, find_program, run_command

FIRST_NETWORK = 97


@dataclass(frozen=True)
class Network:
    """What is where in the cluster of a slot; slots never overlap."""

    slot: int

    @property
    def prefix(self) -> str:
        """Return the first two bytes of all addresses."""
        return f"10.{FIRST_NETWORK + self.slot}"

    @property
    def machine(self) -> str:
        """Return the address of the API server and the DNS server, and of peers that tests start for pods."""
        return f"{self.prefix}.0.1"

    @property
    def pods(self) -> str:
        """Return the range of all pods."""
        return f"{self.prefix}.16.0/20"

    @property
    def services(self) -> str:
        """Return the range of the Services."""
        return f"{self.prefix}.32.0/20"

    @property
    def first_service(self) -> str:
        """Return the address of the Service `kubernetes`."""
        return f"{self.prefix}.32.1"

    def node(self, number: int) -> str:
        """Return a node's address."""
        return f"{self.prefix}.0.{10 + number}"

    def node_pods(self, number: int) -> str:
        """Return the range of a node's pods."""
        return f"{self.prefix}.{15 + number}.0/24"

    def link(self, number: int) -> str:
        """Return the name of the machine's link to a node."""
        return f"pq{self.slot}n{number}"

    def set_up_machine(self) -> None:
        """Give the machine its address."""
        _ip("address", "replace", f"{self.machine}/32", "dev", "lo")

    def take_down_machine(self) -> None:
        """Take the address away; the links went with their nodes."""
        with contextlib.suppress(PeerError):
            _ip("address", "del", f"{self.machine}/32", "dev", "lo")

    def is_foreign(self) -> bool:
        """Tell whether the machine has a route into the cluster's range that is not the cluster's."""
        routes = _ip("-4", "route", "show", "root", f"{self.prefix}.0.0/16").splitlines()
        return any(f"dev pq{self.slot}n" not in route for route in routes if f"{self.prefix}." in route)

    def link_machine(self, number: int, pid: int) -> None:
        """Connect a node with the machine: `pid` is a process in the node's namespace."""
        link, node = self.link(number), self.node(number)
        with contextlib.suppress(PeerError):
            _ip("link", "del", link)
        _ip("link", "add", link, "type", "veth", "peer", "name", "machine", "netns", str(pid))
        _ip("link", "set", link, "up")
        _ip("route", "replace", f"{node}/32", "dev", link, "src", self.machine)
        _ip("route", "replace", self.node_pods(number), "via", node, "src", self.machine)
        if number == 1:
            _ip("route", "replace", self.services, "via", node, "src", self.machine)
        _ip("link", "set", "lo", "up", inside=pid)
        _ip("address", "replace", f"{node}/32", "dev", "machine", inside=pid)
        _ip("link", "set", "machine", "up", inside=pid)
        _ip("route", "replace", f"{self.machine}/32", "dev", "machine", "src", node, inside=pid)

    def link_nodes(self, one: tuple[int, int], other: tuple[int, int]) -> None:
        """Connect two nodes, each given as its number and a process in it; a dead link of theirs is gone already."""
        (number, pid), (other_number, other_pid) = one, other
        peer = ["peer", "name", f"node{number}", "netns", str(other_pid)]
        _ip("link", "add", f"node{other_number}", "type", "veth", *peer, inside=pid)
        self._route(number, other_number, pid)
        self._route(other_number, number, other_pid)

    def _route(self, number: int, to: int, inside: int) -> None:
        link, node = f"node{to}", self.node(to)
        _ip("link", "set", link, "up", inside=inside)
        _ip("route", "replace", f"{node}/32", "dev", link, "src", self.node(number), inside=inside)
        _ip("route", "replace", self.node_pods(to), "via", node, "src", self.node(number), inside=inside)


def _ip(*args: str, inside: int | None = None) -> str:
    enter: Sequence[str] = () if inside is None else (find_program("nsenter"), "-t", str(inside), "-n", "--")
    return run_command([*enter, find_program("ip"), *args]).checked().stdout.decode()
