"""What a local run makes on the spot and keeps."""

import stat
from datetime import timedelta
from pathlib import Path

import bcrypt
import pytest

from paquebot_operator.compile.objects import ObjectKey, Objects
from paquebot_operator.local.state import State, StateBusyError
from paquebot_operator.local.wanted import CERTIFICATES, USERS, Wanted, WantedCertificate, WantedUsers, wanted_secrets
from tests.operator.builders import NOW, Json, objects, secret, service, table

CERTIFICATE = WantedCertificate(ObjectKey("default", "tls"), ObjectKey("default", "post"), "mail.example.test")
PEOPLE = WantedUsers(
    ObjectKey("default", "users"), ObjectKey("default", "users"), "table", ("alice@example.test", "bob@example.test")
)


def annotated(document: Json, **annotations: str) -> Json:
    names = {"certificates": CERTIFICATES, "users": USERS}
    document["metadata"]["annotations"] = {names[key]: text for key, text in annotations.items()}
    return document


def wanted(*documents: Json) -> tuple[Wanted, ...]:
    found: Objects = objects(*documents)
    return wanted_secrets(found)


def test_secrets_are_wanted_by_annotation_only() -> None:
    users = table("users", "credentials", secretRef={"name": "users"})
    assert wanted(service(), users) == ()
    asked = wanted(annotated(service(), certificates="tls"), annotated(users, users=",".join(PEOPLE.users)))
    assert asked == (CERTIFICATE, PEOPLE)


def test_a_secret_that_is_there_is_never_made() -> None:
    assert wanted(annotated(service(), certificates="tls"), secret("tls", x="y")) == ()


@pytest.mark.parametrize("names", ["../../etc/x", "a/b", "A", "", " , "])
def test_a_name_that_is_no_objects_name_is_never_a_path(names: str) -> None:
    assert wanted(annotated(service(), certificates=names)) == ()


@pytest.mark.parametrize("hostname", ["bücher", "x y", "[192.0.2.1", "é" * 100])
def test_a_host_name_that_is_none_makes_no_certificate_and_no_crash(hostname: str, tmp_path: Path) -> None:
    document = annotated(service(), certificates="tls")
    document["spec"]["hostname"] = hostname.replace(" ", "_")
    State(tmp_path).secrets_for(wanted(document), NOW)


def test_certificate_and_passwords_are_kept(tmp_path: Path) -> None:
    first = State(tmp_path).secrets_for((CERTIFICATE, PEOPLE), NOW)
    again = State(tmp_path).secrets_for((CERTIFICATE, PEOPLE), NOW + timedelta(days=1))
    assert [each.string_data for each in first] == [each.string_data for each in again]


def test_a_certificate_is_made_anew_before_it_ends_and_for_another_name(tmp_path: Path) -> None:
    state = State(tmp_path)
    (first,) = state.secrets_for((CERTIFICATE,), NOW)
    (late,) = state.secrets_for((CERTIFICATE,), NOW + timedelta(days=350))
    renamed = WantedCertificate(CERTIFICATE.key, CERTIFICATE.owner, "new.example.test")
    (other,) = state.secrets_for((renamed,), NOW + timedelta(days=350))
    assert len({each.value("tls.crt") for each in (first, late, other)}) == 3


def test_the_table_has_hashes_and_the_file_has_passwords(tmp_path: Path) -> None:
    (made,) = State(tmp_path).secrets_for((PEOPLE,), NOW)
    passwords = dict(line.split() for line in (tmp_path / "credentials.txt").read_text().splitlines())
    hashed = dict(line.split() for line in (made.value("table") or b"").decode().splitlines())
    assert set(passwords) == set(hashed) == set(PEOPLE.users)
    assert all(bcrypt.checkpw(passwords[user].encode(), hashed[user].encode()) for user in passwords)
    assert len(set(passwords.values())) == 2


def test_a_password_that_a_person_changed_is_taken(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.secrets_for((PEOPLE,), NOW)
    state.credentials.write_text("alice@example.test chosen\n")
    (made,) = state.secrets_for((PEOPLE,), NOW)
    hashed = dict(line.split() for line in (made.value("table") or b"").decode().splitlines())
    assert bcrypt.checkpw(b"chosen", hashed["alice@example.test"].encode())


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    with state.locked():
        state.secrets_for((CERTIFICATE, PEOPLE), NOW)
    files = [path for path in state.root.rglob("*") if path.is_file() and path.name != "lock"]
    assert {path.name for path in files} == {"credentials.txt", "credentials.hashes", "tls.crt", "tls.key"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)


def test_a_state_directory_has_one_run_at_a_time(tmp_path: Path) -> None:
    with State(tmp_path).locked(), pytest.raises(StateBusyError), State(tmp_path).locked():
        pass
