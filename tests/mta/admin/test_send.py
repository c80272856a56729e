"""``paquebot send`` against scripted servers: what it sends, what it says of refusals, what it never says."""

import base64
import email
import re
import socketserver
import ssl
import threading
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner, Result

from paquebot_mta.admin.cli import main

ACCEPTED = "250 2.0.0 508f4cf1 Message accepted for delivery"


class ScriptedServer(socketserver.ThreadingTCPServer):
    """A server that answers by verb from ``replies`` and keeps lines and content."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.replies = {"": "220 mx.example.test", "EHLO": "250-mx.example.test\r\n250 8BITMIME", "DATA": "354 go on"}
        self.replies |= {"MAIL": "250 2.1.0 Ok", "RCPT": "250 2.1.5 Ok", ".": ACCEPTED, "QUIT": "221 2.0.0 Bye"}
        self.lines: list[str] = []
        self.content = b""
        self.tls: ssl.SSLContext | None = None

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Session(socketserver.StreamRequestHandler):
    server: ScriptedServer

    def handle(self) -> None:
        self._say("")
        while line := self.rfile.readline().decode().strip():
            self.server.lines.append(line)
            verb = line.split()[0].upper()
            self._say(line if line in self.server.replies else verb)
            if verb == "DATA" and self.server.replies["DATA"].startswith("354"):
                self._take_content()
                self._say(".")
            if verb == "STARTTLS" and self.server.tls:
                self._start_tls(self.server.tls)
            if verb == "QUIT":
                return

    def _say(self, key: str) -> None:
        self.wfile.write(self.server.replies.get(key, "502 5.5.1 what?").encode() + b"\r\n")

    def _start_tls(self, context: ssl.SSLContext) -> None:
        self.request = context.wrap_socket(self.request, server_side=True)
        self.setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def _take_content(self) -> None:
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            self.server.content += line


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        thread = threading.Thread(target=scripted.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield scripted
        scripted.shutdown()
        thread.join(5)


def _send(*arguments: str, server: ScriptedServer | None = None, stdin: str | None = None) -> Result:
    place = ["--server", server.place] if server else []
    return CliRunner().invoke(main, ["send", *place, *arguments], input=stdin)


def _received(server: ScriptedServer) -> Message:
    return email.message_from_bytes(server.content)


def test_a_message_has_its_fields_and_the_queue_id_is_told(server: ScriptedServer) -> None:
    result = _send("--to", "alice@example.test", "--from", "bob@example.test", "--subject", "Ahoy", server=server)
    message = _received(server)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("queued as 508f4cf1;")
    assert "paquebot trace 508f4cf1" in result.stdout
    assert (message["From"], message["To"], message["Subject"]) == ("bob@example.test", "alice@example.test", "Ahoy")
    assert re.fullmatch(r"<\S+@example\.test>", message["Message-ID"])
    assert re.search(r"\d{4} \d\d:\d\d:\d\d \+0000$", message["Date"])
    assert server.lines[1:3] == ["mail FROM:<bob@example.test>", "rcpt TO:<alice@example.test>"]


def test_the_body_comes_from_standard_input_dots_and_all(server: ScriptedServer) -> None:
    result = _send("--to", "a@example.test", "--body", "-", server=server, stdin="one\n.\n..two\n")
    assert result.exit_code == 0
    assert server.content.endswith(b"one\r\n..\r\n...two\r\n")


def test_verbose_prints_each_reply(server: ScriptedServer) -> None:
    replies = _send("-v", "--to", "alice@example.test", server=server).stderr.splitlines()
    assert replies[0] == "S: 220 mx.example.test"
    assert replies[1:3] == ["S: 250-mx.example.test", "S: 250 8BITMIME"]
    assert f"S: {ACCEPTED}" in replies


@pytest.mark.parametrize("where", ["", "EHLO", "MAIL", "RCPT", "DATA", "."])
def test_a_refusal_shows_the_servers_reply_and_fails(server: ScriptedServer, where: str) -> None:
    server.replies[where] = "550 5.7.1 not you \x1b[2J"
    server.replies["HELO"] = server.replies["EHLO"]
    result = _send("--to", "alice@example.test", server=server)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{server.place} refused: 550 5.7.1 not you ?[2J" in result.stderr


def test_a_refused_recipient_is_named_and_the_others_are_served(server: ScriptedServer) -> None:
    server.replies["rcpt TO:<no@example.test>"] = "550 5.1.1 nobody"
    result = _send("--to", "no@example.test", "--to", "yes@example.test", server=server)
    assert result.exit_code == 1
    assert result.stdout.startswith("queued as 508f4cf1")
    assert result.stderr == "refused: no@example.test: 550 5.1.1 nobody\n"


def test_nobody_listening_is_a_clear_error() -> None:
    with ScriptedServer() as closed:
        place = closed.place
    result = _send("--server", place, "--to", "alice@example.test")
    assert result.exit_code == 1
    assert f"{place}: " in result.stderr
    assert "is it running?" in result.stderr


def test_a_password_never_shows(server: ScriptedServer, tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("alice@example.test s3cret\n")
    server.replies |= {"EHLO": "250-mx.example.test\r\n250 AUTH PLAIN", "AUTH": "535 5.7.8 no"}
    login = ["--user", "alice@example.test", "--password-file", str(tmp_path / "passwords")]
    result = _send("-v", "--to", "alice@example.test", *login, server=server)
    assert result.exit_code == 1
    assert "535 5.7.8 no" in result.stderr
    assert "s3cret" not in result.output
    assert any(line.startswith("AUTH PLAIN ") for line in server.lines)


def test_a_server_without_auth_is_explained(server: ScriptedServer, tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("s3cret\n")
    result = _send(
        "--to", "a@example.test", "--user", "u", "--password-file", str(tmp_path / "passwords"), server=server
    )
    assert result.exit_code == 1
    assert "--starttls" in result.stderr


def test_starttls_that_is_not_offered_is_an_error(server: ScriptedServer) -> None:
    result = _send("--to", "a@example.test", "--starttls", "--insecure", server=server)
    assert result.exit_code == 1
    assert "STARTTLS" in result.stderr
    assert not any(line.upper().startswith("MAIL") for line in server.lines)


@pytest.fixture
def tls_server(server: ScriptedServer, tmp_path: Path) -> ScriptedServer:
    """Offers STARTTLS and AUTH, with a certificate of the authority in ``ca.pem``."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "passwords").write_text("bob@example.test other\nalice@example.test s3cret\n")
    server.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server.tls)
    server.replies |= {"EHLO": "250-mx.example.test\r\n250-AUTH PLAIN\r\n250 STARTTLS", "STARTTLS": "220 go"}
    server.replies["AUTH"] = "235 2.7.0 welcome"
    return server


@pytest.mark.parametrize("trust", [["--ca", "ca.pem"], ["--insecure"]])
def test_a_user_logs_in_over_tls_and_is_the_sender(
    tls_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trust: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    login = ["--starttls", *trust, "--user", "alice@example.test", "--password-file", "passwords"]
    result = _send("--to", "bob@example.test", *login, server=tls_server)
    assert (result.exit_code, result.stderr) == (0, "")
    (auth,) = [line for line in tls_server.lines if line.startswith("AUTH PLAIN ")]
    assert base64.b64decode(auth.split()[2]) == b"\0alice@example.test\0s3cret"
    assert _received(tls_server)["From"] == "alice@example.test"


def test_a_certificate_of_a_stranger_is_refused_with_advice(tls_server: ScriptedServer) -> None:
    tls_server.handle_error = lambda request, client: None  # type: ignore[method-assign,assignment]  # the client left
    result = _send("--to", "bob@example.test", "--starttls", server=tls_server)
    assert result.exit_code == 1
    assert "--ca FILE names whom to trust" in result.stderr


def test_an_international_address_needs_smtputf8(server: ScriptedServer) -> None:
    assert _send("--to", "zoé@example.test", server=server).exit_code == 1
    server.replies["EHLO"] = "250-mx.example.test\r\n250-8BITMIME\r\n250 SMTPUTF8"
    assert _send("--to", "zoé@example.test", server=server).exit_code == 0
    assert any("SMTPUTF8" in line for line in server.lines)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--to", "alice"],
        ["--to", "a@example.test>\r\nDATA"],
        ["--to", "a@example.test", "--from", "b c@example.test"],
        ["--to", "a@example.test", "--subject", "x\r\nBcc: evil@example.test"],
        ["--to", "a@example.test", "--server", "127.0.0.1"],
        ["--to", "a@example.test", "--server", "127.0.0.1:99999"],
        ["--to", "a@example.test", "--insecure"],
        ["--to", "a@example.test", "--user", "u"],
        [],
    ],
)
def test_wrong_usage_is_exit_code_2(wrong: list[str]) -> None:
    assert _send(*wrong).exit_code == 2
