"""What we take from aiosmtpd, pinned: a release that changes it must fail here, not in a session."""

import inspect
from importlib.metadata import requires, version

import pytest
from aiosmtpd import smtp

from paquebot_mta.accept import session as ours
from paquebot_mta.accept.session import COMMANDS, MtaSession
from paquebot_mta.accept.state import SessionState, TransactionState


def test_the_version_is_pinned() -> None:
    assert version("aiosmtpd").startswith("1.4.")
    pins = [line for line in requires("paquebot") or () if line.startswith("aiosmtpd")]
    assert pins
    assert all(">=1.4.6" in pin and "<1.5" in pin for pin in pins)


def test_our_session_is_an_aiosmtpd_session() -> None:
    assert issubclass(MtaSession, smtp.SMTP)
    assert issubclass(SessionState, smtp.Session)
    assert issubclass(TransactionState, smtp.Envelope)


@pytest.mark.parametrize(
    "name",
    [
        "connection_made", "data_received", "eof_received", "connection_lost", "push", "handle_exception",
        "_create_session", "_create_envelope", "smtp_EHLO", "smtp_HELO", "smtp_MAIL", "smtp_RCPT", "smtp_DATA",
        "smtp_RSET", "smtp_NOOP", "smtp_VRFY", "smtp_HELP", "smtp_QUIT", "smtp_STARTTLS", "smtp_AUTH", "__del__",
    ],
)  # fmt: skip
def test_what_we_replace_is_there(name: str) -> None:
    assert callable(getattr(smtp.SMTP, name))
    assert getattr(MtaSession, name) is not getattr(smtp.SMTP, name)


def test_no_command_of_the_base_class_is_left_unreplaced() -> None:
    base = {name for name in dir(smtp.SMTP) if name.startswith("smtp_")}
    assert {name for name in base if getattr(MtaSession, name) is getattr(smtp.SMTP, name)} == {"smtp_EXPN"}
    assert "EXPN" not in COMMANDS


def test_nothing_of_the_base_class_runs_behind_our_back() -> None:
    mine = {name for kind in MtaSession.__mro__ if kind.__module__.startswith("paquebot") for name in vars(kind)}
    running = {"_handle_client", "_timeout_cb", "_reset_timeout", "_cb_client_connected", "_set_rset_state"}
    sources = "".join(inspect.getsource(kind) for kind in MtaSession.__mro__ if kind.__module__.startswith("paquebot"))
    assert not any(f"self.{name}" in sources for name in running)
    assert {"pause_writing", "resume_writing", "connection_lost"} <= mine


def test_the_attributes_that_handlers_read_are_there() -> None:
    envelope = TransactionState()
    assert (envelope.mail_from, envelope.rcpt_tos, envelope.smtp_utf8, envelope.content) == (None, [], False, None)
    assert {"success", "handled", "message", "auth_data"} == {each.name for each in smtp.AuthResult.__attrs_attrs__}
    assert ours.COMMANDS.keys() >= {"EHLO", "MAIL", "RCPT", "DATA", "BDAT", "STARTTLS", "AUTH", "QUIT"}
