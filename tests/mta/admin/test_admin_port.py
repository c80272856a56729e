"""The admin port: what several workers say becomes one answer, and a dead one harms none."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from paquebot_mta.admin import port
from paquebot_mta.admin.app import start_worker_socket
from paquebot_mta.admin.port import Source, start_admin_port
from paquebot_mta.telemetry.events import LinkConnect
from paquebot_mta.telemetry.metrics import Metrics, exposition
from tests.mta.admin.fake_controls import FakeControls

Get = tuple[int, Any]


def _exposition(sessions: int) -> bytes:
    metrics = Metrics()
    for number in range(sessions):
        metrics.consume(
            LinkConnect(
                direction="in",
                session=f"{number:016x}",  # type: ignore[arg-type]
                endpoint="mx",
                source="192.0.2.1:1",
                destination="192.0.2.2:25",
            )
        )
    return exposition(metrics.registry)


@contextlib.asynccontextmanager
async def _port(*sources: Source) -> AsyncIterator[aiohttp.ClientSession]:
    running = await start_admin_port("127.0.0.1", 0, sources)
    async with aiohttp.ClientSession(f"http://{running.address}") as client:
        yield client
    await running.close()


@contextlib.asynccontextmanager
async def _sockets(tmp_path: Path, *workers: FakeControls) -> AsyncIterator[list[Path]]:
    paths = [tmp_path / f"worker-{worker.number}.sock" for worker in workers]
    running = [await start_worker_socket(worker, path) for worker, path in zip(workers, paths, strict=True)]
    yield paths
    for each in running:
        await each.close()


async def _json(client: aiohttp.ClientSession, resource: str) -> Get:
    async with client.get(resource) as response:
        return response.status, await response.json()


def _sample(text: str, metric: str, *labels: str) -> float:
    lines = [line for line in text.splitlines() if line.startswith(metric) and all(label in line for label in labels)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


async def test_metrics_of_two_workers_are_one_exposition(tmp_path: Path) -> None:
    workers = FakeControls(0), FakeControls(1)
    workers[0].exposition, workers[1].exposition = _exposition(2), _exposition(3)
    async with _sockets(tmp_path, *workers) as paths, _port(*paths) as client, client.get("/metrics") as response:
        text = await response.text()
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert _sample(text, "paquebot_report_events_total", "link-connect") == 5
    assert text.count("# TYPE paquebot_report_events_total ") == 1
    assert 'paquebot_workers{state="answering"} 2' in text


async def test_a_dead_worker_is_left_out_of_metrics_and_counted(tmp_path: Path) -> None:
    alive = FakeControls(0)
    alive.exposition = _exposition(2)
    async with _port(alive, tmp_path / "worker-1.sock") as client, client.get("/metrics") as response:
        text = await response.text()
    assert _sample(text, "paquebot_report_events_total", "link-connect") == 2
    assert 'paquebot_workers{state="silent"} 1' in text


async def test_metrics_without_any_worker_are_503(tmp_path: Path) -> None:
    async with _port(tmp_path / "worker-1.sock") as client:
        assert (await _json(client, "/metrics"))[0] == 503


async def test_a_worker_that_hangs_has_its_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "WORKER_TIMEOUT_SECONDS", 0.1)
    held: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_unix_server(lambda _, writer: held.append(writer), tmp_path / "worker-1.sock")
    async with _port(FakeControls(0), tmp_path / "worker-1.sock") as client:
        status, body = await asyncio.wait_for(_json(client, "/healthz"), 5)
    held.pop().close()
    silent.close()
    assert (status, body["reasons"]) == (503, ["worker-1: no answer within 0.1 s"])


async def test_healthy_and_ready_when_all_workers_are(tmp_path: Path) -> None:
    async with _sockets(tmp_path, FakeControls(0), FakeControls(1)) as paths, _port(*paths) as client:
        assert await _json(client, "/healthz") == (200, {"healthy": True, "reasons": []})
        assert await _json(client, "/readyz") == (200, {"ready": True, "reasons": [], "warnings": []})


async def test_one_unready_worker_makes_the_pod_unready_and_says_why() -> None:
    slow = FakeControls(1)
    slow.current = msgspec.structs.replace(slow.current, ready=False, healthy=False, reasons=("queue volume is full",))
    async with _port(FakeControls(0), slow) as client:
        unready = {"ready": False, "reasons": ["worker-1: queue volume is full"], "warnings": []}
        assert await _json(client, "/readyz") == (503, unready)
        assert await _json(client, "/healthz") == (503, {"healthy": False, "reasons": ["worker-1: unhealthy"]})


async def test_a_pod_with_warnings_is_ready_and_tells_them() -> None:
    warned = FakeControls(1)
    warned.current = msgspec.structs.replace(warned.current, warnings=("filter t/scan: it can't be reached",))
    told = {"ready": True, "reasons": [], "warnings": ["worker-1: filter t/scan: it can't be reached"]}
    async with _port(FakeControls(0), warned) as client:
        assert await _json(client, "/readyz") == (200, told)


async def test_the_configuration_in_use_is_the_oldest_and_the_rejection_is_named(tmp_path: Path) -> None:
    behind, ahead = FakeControls(0), FakeControls(1)
    ahead.current = msgspec.structs.replace(ahead.current, rejected_digest="bad", rejected_reason="service.rules[2]")
    async with _port(ahead, behind, tmp_path / "worker-2.sock") as client:
        status, body = await _json(client, "/config")
    workers = body.pop("workers")
    assert status == 200
    expected = {"generation": 7, "digest": "digest-0", "rejectedDigest": "bad", "rejectedReason": "service.rules[2]"}
    assert body == expected
    assert [worker["worker"] for worker in workers] == ["worker-1", "worker-0", "worker-2"]
    assert "error" in workers[2]


@pytest.mark.parametrize("resource", ["/queue", "/trace", "/status", "/message/508f4cf1"])
async def test_the_port_shows_no_mail(resource: str) -> None:
    async with _port(FakeControls(0)) as client:
        assert (await _json(client, resource))[0] == 404


@pytest.mark.parametrize("resource", ["/remove", "/pause", "/config", "/metrics"])
async def test_the_port_changes_nothing(resource: str) -> None:
    worker = FakeControls(0)
    async with _port(worker) as client, client.post(resource, json={"target": "all"}) as response:
        assert response.status in {404, 405}
    assert worker.calls == []


async def test_garbage_on_the_port_is_refused_and_the_next_request_served() -> None:
    running = await start_admin_port("127.0.0.1", 0, [FakeControls(0)])
    reader, writer = await asyncio.open_connection(*running.address.split(":"))
    writer.write(b"\x16\x03\x01\x00\xff" + b"\xff" * 512 + b"\r\n\r\n")
    assert b" 400 " in (await asyncio.wait_for(reader.read(), 5)).splitlines()[0]
    writer.close()
    async with aiohttp.ClientSession(f"http://{running.address}") as client:
        assert (await _json(client, "/healthz"))[0] == 200
    await running.close()


async def _health_on_any(*hosts: str) -> list[int]:
    """What a port of every address answers on these."""
    running = await start_admin_port("::", 0, [FakeControls(0)])
    number, found = running.address.rpartition(":")[2], []
    for host in hosts:
        async with aiohttp.ClientSession(f"http://{host}:{number}") as client:
            found.append((await _json(client, "/healthz"))[0])
    await running.close()
    return found


async def test_the_port_of_every_address_answers_both_families() -> None:
    assert await _health_on_any("127.0.0.1", "[::1]") == [200, 200]


async def test_the_port_of_every_address_is_there_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    create = socket.create_server

    def without_ipv6(address: tuple[str, int], **options: Any) -> socket.socket:
        if options.get("family") == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return create(address, **options)

    monkeypatch.setattr(socket, "create_server", without_ipv6)
    assert await _health_on_any("127.0.0.1") == [200]
