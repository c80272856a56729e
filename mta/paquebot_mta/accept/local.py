"""Sessions of programs on this machine, whose user the kernel names: the door of ``sendmail``.

There is always one such listener, whatever the configuration says: it is bound in the runtime directory, and the
messages that were left while nobody ran come through it as well. To rules its clients are local.
"""

import socket
import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from paquebot_mta.accept.host import Host
from paquebot_mta.accept.policy import ListenerPolicy, build_policy
from paquebot_mta.accept.session import MtaSession
from paquebot_mta.config.listeners import Listener
from paquebot_mta.config.service import MtaConfig
from paquebot_mta.expand.results import Expander
from paquebot_mta.mail.submission import DOMAIN_KEYWORD
from paquebot_mta.table.lookup import Table

LOCAL: Final = Listener(name="_local", address="unix:", role="Submission")
"""Its name can't be that of a configured listener."""
_CREDENTIALS: Final = struct.Struct("3i")


class LocalSession(MtaSession):
    """A conversation with a user of this machine."""

    def __init__(self, host: Host, policy: ListenerPolicy, user_id: int | None = None) -> None:
        """Take ``user_id`` for granted, or, without one, ask the kernel who connected."""
        super().__init__(host, policy)
        self._user_id = user_id

    def begin(self, peer: Any, local: Any) -> None:
        """Note who it is: Received will tell."""
        super().begin(None, local)
        if self._user_id is None:
            self._user_id = user_of(self.transport.get_extra_info("socket"))
        self.session.user_id = self._user_id


def user_of(connection: socket.socket) -> int:
    """Ask the kernel for the user at the other end of a unix socket (``SO_PEERCRED`` of unix(7))."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user_id, _ = _CREDENTIALS.unpack(found)
    return int(user_id)


def build_local_policy(config: MtaConfig, tables: Mapping[str, Table], expander: Expander) -> ListenerPolicy:
    """Make the policy of local submission: no TLS, no AUTH, headers completed, and told where users live.

    Limits are those of all listeners, but that refused recipients end no session: a known user's list may be old.
    """
    limits = msgspec.structs.replace(config.service.limits, errors=2 * config.service.limits.recipients)
    service = msgspec.structs.replace(config.service, listeners=(LOCAL,), limits=limits)
    only = msgspec.structs.replace(config, service=service)
    policy = build_policy(only, tables, expander).listeners[LOCAL.name]
    told = f"{DOMAIN_KEYWORD} {policy.homes.of(policy.hostname)}"
    return replace(policy, extensions=(*policy.extensions, told))
