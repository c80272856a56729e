"""Paquebot as it is, but that it offers TLS without any certificate too: all that Debian's OpenSMTPD can serve.

Run as a program it is the `paquebot` command, behind one more argument: the ciphers that its client offers.
"""

from __future__ import annotations

import ssl
import sys

from paquebot_mta.admin.cli import main
from paquebot_mta.config.actions import ClientTls
from paquebot_mta.deliver.tls import ClientContexts


def offer_only(ciphers: str) -> None:
    """Let all clients of this process, and of those that it forks, offer nothing else; TLS 1.3 has nothing like it."""
    make = ClientContexts._make

    def made(self: ClientContexts, policy: ClientTls) -> ssl.SSLContext:
        context = make(self, policy)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
        return context

    ClientContexts._make = made  # type: ignore[method-assign]


if __name__ == "__main__":
    offer_only(sys.argv.pop(1))
    sys.exit(main(prog_name="paquebot"))
