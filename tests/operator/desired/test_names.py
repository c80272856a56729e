"""Names fit every kind, whatever a MailService and its listeners are called."""

import re

from hypothesis import given
from hypothesis import strategies as st

from paquebot_operator.desired import names
from tests.operator.desired.services import LABELS, NAMES

DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def test_short_names_stay_readable() -> None:
    assert names.workload_name("post") == "post-mta"
    assert names.claim_name("post") == "post-queue"
    assert names.listener_service_name("post", "mx") == "post-mx"
    assert names.config_secret_name("post", "domains-0a") == "post-config-d0a"
    assert names.dkim_secret_name("example.test") == "example.test-dkim"


@given(NAMES, LABELS)
def test_names_are_dns_labels(service: str, listener: str) -> None:
    found = [
        names.service_label(service),
        names.workload_name(service),
        names.claim_name(service),
        names.listener_service_name(service, listener),
        *names.config_secret_names(service),
    ]
    assert all(DNS_LABEL.fullmatch(name) and len(name) <= 63 for name in found)
    assert len(names.workload_name(service)) <= names.MAX_WORKLOAD_NAME


@given(st.lists(NAMES, min_size=2, max_size=5, unique=True))
def test_two_services_never_share_a_name(services: list[str]) -> None:
    for name in (names.workload_name, names.claim_name, names.service_label):
        assert len({name(service) for service in services}) == len(services)
    secrets = [secret for service in services for secret in names.config_secret_names(service)]
    assert len(set(secrets)) == 66 * len(services)


def test_names_that_differ_only_where_they_are_cut_stay_apart() -> None:
    long = "a" * 80
    assert names.workload_name(f"{long}b") != names.workload_name(f"{long}c")
    assert names.workload_name("a.b") != names.workload_name("a-b")
    assert names.workload_name("1st") != names.workload_name("s1st")


@given(st.from_regex(r"[ab](-{0,3}[ab]){2,6}", fullmatch=True))
def test_two_listeners_never_share_a_service(glued: str) -> None:
    """However one name comes apart into a service and a listener."""
    dashes = [place for place, each in enumerate(glued) if each == "-"]
    pairs = {(glued[:place].rstrip("-"), glued[place:].lstrip("-")) for place in dashes}
    assert len({names.listener_service_name(*pair) for pair in pairs}) == len(pairs)


def test_a_listener_with_a_dash_is_set_apart() -> None:
    assert names.listener_service_name("post", "mx-eu") == "post--mx-eu"
    assert names.listener_service_name("post-mx", "eu") == "post-mx-eu"
