"""The drop box: what is left there is taken by one, once; whatever else lies there harms nobody."""

from __future__ import annotations

import os
import random
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paquebot_mta.mail.submission import Submission
from paquebot_mta.spool import offline
from paquebot_mta.spool.disk import RealDisk
from paquebot_mta.spool.incarnation import make_home
from paquebot_mta.spool.layout import Layout, prepare
from paquebot_mta.spool.offline import Box, HostileFileError, box_of, leave
from paquebot_mta.spool.owner import Owner, overwrite_owner

MAIL = Submission("alice", ("bob@example.test",))
CONTENT = b"Subject: hello\r\n\r\nAhoy!\r\n"
OURS, OTHERS = "1" * 16, "2" * 16


class Volume:
    """A spool with a box, and two processes that use it."""

    def __init__(self, directory: Path) -> None:
        self.layout, self.disk = Layout(str(directory)), RealDisk()
        prepare(self.layout, self.disk, random.getrandbits)
        self.homes = {name: make_home(self.disk, self.layout, name) for name in (OURS, OTHERS)}
        self.box, self.rival = self.of(OURS), self.of(OTHERS)
        self.box.prepare()
        self.path = Path(box_of(directory))

    def of(self, incarnation: str) -> Box:
        return Box(self.layout, self.disk, lambda: incarnation)

    def leave(self, content: bytes = CONTENT) -> str:
        return leave(str(self.path), MAIL, content)

    def names(self, directory: str) -> list[str]:
        return sorted(os.listdir(self.layout.at(directory)))

    def take(self, box: Box | None = None, limit: int = 20) -> tuple[list[str], list[tuple[str, offline.Refusal]]]:
        return (box or self.box).take(limit, set(), time.time())


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    made = Volume(tmp_path / "spool")
    yield made
    for home in made.homes.values():
        os.close(home.lock_fd)


def test_what_was_left_is_read_as_it_was(volume: Volume) -> None:
    volume.leave(CONTENT * 10_000)
    (path,), refused = volume.take()
    with volume.box.open(path) as left:
        assert b"".join(left.content()) == CONTENT * 10_000
        assert (left.ticket.submission, left.user_id) == (MAIL, os.getuid())
        assert abs(left.left_at - time.time()) < 60
    volume.box.done(path)
    assert (refused, volume.names("taken"), volume.names("offline")) == ([], [], [])


def test_everybody_may_leave_and_nobody_may_look(volume: Volume) -> None:
    name = volume.leave()
    box, file = volume.path.stat(), (volume.path / name).stat()
    assert stat.S_IMODE(box.st_mode) == 0o3733
    assert (stat.S_IMODE(file.st_mode), file.st_gid) == (0o640, box.st_gid)
    for private in ("taken", "corrupt", "pods", "adopt", "grave"):
        assert stat.S_IMODE(os.stat(volume.layout.at(private)).st_mode) == 0o700
    for passage in (volume.layout.base, volume.layout.root):
        assert stat.S_IMODE(os.stat(passage).st_mode) & 0o077 in {0o011, 0o055}


def test_only_one_of_two_takes_a_message(volume: Volume) -> None:
    names = {volume.leave() for _ in range(10)}
    ours, theirs = volume.take(limit=4)[0], volume.take(volume.rival)[0]
    assert (len(ours), len(theirs)) == (4, 6)
    assert {Path(path).name.partition("~")[0] for path in (*ours, *theirs)} == names


def test_our_claims_of_before_are_offered_again_unless_busy(volume: Volume) -> None:
    volume.leave()
    first = volume.take()[0]
    assert volume.take()[0] == first
    assert volume.box.take(20, set(first), time.time())[0] == []


def test_a_claim_of_the_living_is_left_alone_and_one_of_the_dead_is_taken(volume: Volume) -> None:
    name = volume.leave()
    volume.take(volume.rival)
    assert volume.take()[0] == []
    overwrite_owner(volume.disk, f"{volume.homes[OTHERS].path}/owner", Owner(OURS, 1))
    (path,), _ = volume.take()
    assert Path(path).name == f"{name}~{OURS}"


def test_a_claim_of_nobody_is_taken(volume: Volume) -> None:
    name = volume.leave()
    volume.take(volume.of("3" * 16))
    assert [Path(path).name for path in volume.take()[0]] == [f"{name}~{OURS}"]


def test_a_rename_whose_answer_was_lost_is_found_by_looking(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS says "no such file" to the repetition of a rename that was done."""
    volume.leave()
    rename = os.rename

    def twice(source: str, target: str) -> None:
        rename(source, target)
        rename(source, target)

    monkeypatch.setattr(os, "rename", twice)
    assert len(volume.take()[0]) == 1


def refusal_of(volume: Volume, path: str) -> str:
    with pytest.raises(HostileFileError) as caught, volume.box.open(path) as left:
        list(left.content())
    return caught.value.refusal


def test_other_names_of_a_file_make_it_nobodys_mail(volume: Volume, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    name = volume.leave()
    os.rename(volume.path / name, secret)
    os.link(secret, volume.path / name)
    (path,), _ = volume.take()
    assert refusal_of(volume, path) == "links"
    assert volume.box.put_aside(path)
    assert secret.read_bytes().endswith(CONTENT)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda data: b"", "garbage"),
        (lambda data: b"\0" * len(data), "garbage"),
        (lambda data: b"root:x:0:0:root:/root:/bin/sh\n" * 5, "garbage"),
        (lambda data: data.replace(b'"size"', b'"Size"'), "garbage"),
        (lambda data: data[: len(data) // 2].rstrip(b"\n"), "garbage"),
        (lambda data: data[:-3], "incomplete"),
        (lambda data: data + b"more", "incomplete"),
        (lambda data: data.replace(b'"size":', b'"size":-'), "incomplete"),
        (lambda data: data.replace(b"Ahoy!", b"Ahoj!"), "altered"),
    ],
)
def test_what_is_no_whole_message_is_refused(volume: Volume, change: object, refusal: str) -> None:
    assert callable(change)
    path = volume.path / volume.leave()
    path.write_bytes(change(path.read_bytes()))
    (taken,), _ = volume.take()
    assert refusal_of(volume, taken) == refusal
    assert volume.box.put_aside(taken)
    assert len(volume.names("corrupt")) == 1


def test_altered_content_never_ends(volume: Volume) -> None:
    """The last bytes are given out only if all are what was left: a reader can't take half for the whole."""
    path = volume.path / volume.leave(b"x" * 200_000)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"y")
    (taken,), _ = volume.take()
    got: list[bytes] = []
    with volume.box.open(taken) as left, pytest.raises(HostileFileError):
        got.extend(left.content())
    assert sum(map(len, got)) < 200_000


def test_links_pipes_directories_and_strange_names_are_put_aside_once(volume: Volume, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("kept")
    (volume.path / ("a" * 32)).symlink_to(outside)
    (volume.path / "link").symlink_to(tmp_path)
    os.mkfifo(volume.path / ("b" * 32))
    (volume.path / ("c" * 32)).mkdir()
    (volume.path / "d\nevil").write_text("x")
    (volume.path / "full").mkdir()
    (volume.path / "full" / "x").write_text("x")
    good = volume.leave()
    claims, refused = volume.take()
    assert [Path(path).name.partition("~")[0] for path in claims] == [good]
    assert sorted(refusal for _, refusal in refused) == ["garbage", *["kind"] * 5]
    assert outside.read_text() == "kept"
    assert volume.take() == (claims, [])  # the directory with a file in it stays, and is told once
    assert volume.names("offline") == ["full"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_not_opened(volume: Volume) -> None:
    os.mknod(volume.path / ("a" * 32), stat.S_IFCHR | 0o666, os.makedev(1, 5))
    assert volume.take() == ([], [("a" * 32, "kind")])


def test_a_file_that_becomes_a_pipe_after_the_look_blocks_nobody(volume: Volume) -> None:
    path = volume.layout.at("taken", f"{'a' * 32}~{OURS}")
    os.mkfifo(path)
    assert refusal_of(volume, path) == "kind"


def test_unfinished_files_wait_for_their_writers_a_day(volume: Volume) -> None:
    young, old = (volume.path / f".new-{digit * 32}" for digit in "ab")
    young.write_text("half")
    old.write_text("half")
    os.utime(old, (0, time.time() - offline.STALE_SECONDS - 60))
    assert volume.take() == ([], [])
    assert volume.names("offline") == [young.name]


def test_a_volume_without_room_leaves_nothing_behind(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        volume.leave()
    assert volume.names("offline") == []


def test_a_look_takes_no_more_than_asked(volume: Volume) -> None:
    for number in range(30):
        (volume.path / f"junk-{number}").write_text("x")
    assert len(volume.take(limit=7)[1]) == 7


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_do_more_than_be_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, magic: bool) -> None:
    path = tmp_path_factory.getbasetemp() / "hostile"
    path.write_bytes((b"paquebot-offline-1 " if magic else b"") + data)
    box = Box(Layout("/nowhere"), RealDisk(), lambda: OURS)
    with pytest.raises(HostileFileError), box.open(str(path)) as left:
        list(left.content())


def test_the_box_is_not_made_where_the_volume_was(tmp_path: Path) -> None:
    """What is made in the place of a volume that is away would hinder its return."""
    layout = Layout(str(tmp_path / "spool"))
    box = Box(layout, RealDisk(), lambda: "a")
    with pytest.raises(FileNotFoundError):
        box.prepare()
    assert list(tmp_path.iterdir()) == []
