"""The control socket: every route, real unix sockets, and requests that nobody should send."""

import asyncio
import contextlib
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from paquebot_mta.admin import app, http
from paquebot_mta.admin.app import start_worker_socket
from paquebot_mta.admin.sockets import bind_private
from tests.mta.admin.fake_controls import CONTENT, EVPID, MSGID, FakeControls

Client = aiohttp.ClientSession


@pytest.fixture
def controls() -> FakeControls:
    return FakeControls()


@pytest.fixture
async def path(controls: FakeControls, tmp_path: Path) -> AsyncIterator[Path]:
    running = await start_worker_socket(controls, tmp_path / "worker-0.sock")
    yield tmp_path / "worker-0.sock"
    await running.close()


@pytest.fixture
async def client(path: Path) -> AsyncIterator[Client]:
    async with Client("http://worker", connector=aiohttp.UnixConnector(str(path))) as session:
        yield session


async def _post(client: Client, resource: str, body: Any) -> tuple[int, Any]:
    async with client.post(resource, json=body) as response:
        return response.status, await response.json()


async def _get(client: Client, resource: str) -> tuple[int, Any]:
    async with client.get(resource) as response:
        return response.status, await response.json()


async def _raw(path: Path, data: bytes, seconds: float = 5.0) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            await writer.drain()
            return await asyncio.wait_for(reader.read(), seconds)
        return b""
    finally:
        writer.close()


def test_the_socket_belongs_to_its_owner_alone(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["worker-0.sock"]


async def test_a_socket_left_behind_is_replaced_and_only_the_own_one_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "worker-0.sock"
    old = await start_worker_socket(FakeControls(), path)
    new = await start_worker_socket(FakeControls(), path)
    await old.close()
    assert path.is_socket()
    await new.close()
    assert not path.exists()


async def test_a_file_is_never_replaced_by_a_socket(tmp_path: Path) -> None:
    (tmp_path / "worker-0.sock").write_text("precious")
    with pytest.raises(FileExistsError):
        await start_worker_socket(FakeControls(), tmp_path / "worker-0.sock")


async def test_status_health_and_readiness_are_the_controls(client: Client, controls: FakeControls) -> None:
    assert (await _get(client, "/status"))[1]["worker"] == "worker-0"
    assert (await _get(client, "/config"))[1]["digest"] == "digest-0"
    assert await _get(client, "/healthz") == (200, {"healthy": True})
    assert await _get(client, "/readyz") == (200, {"ready": True, "reasons": [], "warnings": []})
    changes = {"ready": False, "healthy": False, "reasons": ("draining",)}
    controls.current = type(controls.current)(
        **{field: getattr(controls.current, field) for field in controls.current.__struct_fields__} | changes
    )
    assert await _get(client, "/healthz") == (503, {"healthy": False})
    assert await _get(client, "/readyz") == (503, {"ready": False, "reasons": ["draining"], "warnings": []})


@pytest.mark.parametrize("act", ["schedule", "remove", "suspend", "resume"])
async def test_an_act_goes_to_the_controls_with_its_target(client: Client, controls: FakeControls, act: str) -> None:
    assert await _post(client, f"/{act}", {"target": MSGID.upper()}) == (200, {"envelopes": 1})
    assert controls.calls == [(act, MSGID)]


async def test_parts_are_paused_and_resumed(client: Client, controls: FakeControls) -> None:
    assert await _post(client, "/pause", {"part": "mta"}) == (200, {"paused": ["mta"]})
    assert await _post(client, "/resume-part", {"part": "mta"}) == (200, {"paused": []})
    assert controls.calls == [("pause", "mta"), ("resume-part", "mta")]


async def test_a_message_is_streamed_byte_by_byte_as_stored(client: Client) -> None:
    async with client.get(f"/message/{MSGID}") as response:
        assert (response.status, response.content_type) == (200, "message/rfc822")
        assert await response.read() == CONTENT


async def test_an_envelope_is_described(client: Client) -> None:
    status, detail = await _get(client, f"/envelope/{EVPID}")
    assert (status, detail["evpid"], detail["schedule"]) == (200, EVPID, "due in 60 s")


@pytest.mark.parametrize("resource", ["/message/00000001", "/envelope/0000000100000001", "/nowhere"])
async def test_what_is_not_here_is_404(client: Client, resource: str) -> None:
    status, body = await _get(client, resource)
    assert (status, list(body)) == (404, ["error"])


@pytest.mark.parametrize("resource", ["/message/xyz", "/envelope/1", "/queue?target=%00", "/queue?target=../etc"])
async def test_a_bad_id_is_400(client: Client, resource: str) -> None:
    status, body = await _get(client, resource)
    assert (status, list(body)) == (400, ["error"])


@pytest.mark.parametrize(
    "body",
    [b"", b"\x00\xff", b"[]", b'{"target": 1}', b'{"target": "all", "more": 1}', b'{"target": "some"}', b"[" * 4_000],
)
async def test_a_bad_body_is_400_and_changes_nothing(client: Client, controls: FakeControls, body: bytes) -> None:
    for resource in ("/remove", "/pause"):
        async with client.post(resource, data=body) as response:
            assert (response.status, list(await response.json())) == (400, ["error"])
    assert controls.calls == []


async def test_a_body_too_long_is_refused(client: Client, controls: FakeControls) -> None:
    async with client.post("/remove", data=b" " * (http.MAX_BODY_BYTES + 1)) as response:
        assert response.status == 413
    assert controls.calls == []


async def test_an_unexpected_fault_is_500_without_its_text(
    client: Client, controls: FakeControls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controls, "stats", lambda: 1 / 0)
    assert await _get(client, "/stats") == (500, {"error": "internal error, see the log"})
    assert (await _get(client, "/routes"))[0] == 200


async def test_a_long_queue_is_streamed_and_never_collected(client: Client, controls: FakeControls) -> None:
    controls.entries = 50_000
    async with client.get("/queue") as response:
        first = json.loads(await response.content.readline())
        assert first["evpid"] == f"{MSGID}00000000"
        await asyncio.sleep(0.05)
        # The reader reads no further, so the writer stands still: kernel and stream buffers are all that was filled.
        assert controls.produced < 10_000
        lines = 1
        async for _ in response.content:
            lines += 1
    assert lines == controls.produced == 50_000


async def test_the_first_entry_does_not_wait_for_a_full_batch(
    client: Client, controls: FakeControls, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    real = controls.queue

    async def slow(target: str = "all") -> AsyncIterator[Any]:
        async for entry in real(target):
            yield entry
            await gate.wait()

    monkeypatch.setattr(controls, "queue", slow)
    async with client.get("/queue") as response:
        assert await asyncio.wait_for(response.content.readline(), 5)
        gate.set()


async def test_a_stream_that_fails_is_cut_so_that_the_reader_knows(client: Client, controls: FakeControls) -> None:
    controls.entries, controls.fails_after = 5_000, 3_000
    with pytest.raises(aiohttp.ClientError):
        async with client.get("/queue") as response:
            await response.read()
    assert (await _get(client, "/status"))[0] == 200


async def test_trace_streams_events_and_ends_with_its_client(client: Client, controls: FakeControls) -> None:
    async with client.get("/trace") as response:
        controls.events.put_nowait(b'{"event":"one"}')
        assert await asyncio.wait_for(response.content.readline(), 5) == b'{"event":"one"}\n'
        assert controls.tracers == 1
        response.close()
    await asyncio.wait_for(controls.left.wait(), 5)
    assert controls.tracers == 0


async def test_closing_ends_traces_within_seconds(controls: FakeControls, tmp_path: Path) -> None:
    running = await start_worker_socket(controls, tmp_path / "worker-1.sock")
    async with Client(connector=aiohttp.UnixConnector(running.address)) as client, client.get("http://worker/trace"):
        async with asyncio.timeout(5):
            await running.close()
    assert controls.tracers == 0


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 4_096,
        b"\xff\xfe\r\n\r\n",
        b"EHLO example.test\r\n",
        b"GET /status HTTP/9.9\r\n\r\n",
        b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /status HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /status HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"POST /remove HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /remove HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
    ],
)
async def test_garbage_is_answered_or_cut_and_the_next_request_is_served(
    path: Path, client: Client, controls: FakeControls, garbage: bytes
) -> None:
    answer = await _raw(path, garbage)
    assert answer == b"" or b" 400 " in answer.splitlines()[0]
    assert (await _get(client, "/status"))[0] == 200
    assert controls.calls == []


@pytest.mark.parametrize("begun", [b"", b"GET /status HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_client_that_never_ends_its_request_is_cut_off(tmp_path: Path, begun: bytes) -> None:
    bound = bind_private(tmp_path / "worker-2.sock")
    close = await http.serve(app.WorkerApp(FakeControls()).routes(), bound.listening, request_timeout_seconds=0.05)
    assert await _raw(bound.path, begun) == b""
    await close()


async def test_more_connections_than_the_limit_are_closed_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 2)
    held = [await asyncio.open_unix_connection(str(path)) for _ in range(2)]
    await asyncio.sleep(0.02)
    assert await _raw(path, b"") == b""
    for _, writer in held:
        writer.close()
