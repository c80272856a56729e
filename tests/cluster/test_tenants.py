"""Two tenants attach domains to one pool that allows only one of them."""

from __future__ import annotations

import pytest

from tests.support.processes import wait_until
from tests.support.smtp_client import SmtpClient

from .release import SERVICE, Release, mail_domain, mail_service

pytestmark = pytest.mark.integration


def answer_to(address: str, recipient: str, port: int = 25) -> str:
    """The first words of the answer of a Service or, with its own port, of a pod to a recipient."""
    with SmtpClient(port, host=address) as client:
        client.expect("220")
        client.command("EHLO client.example.org", "250")
        client.command("MAIL FROM:<bob@example.org>", "250")
        client.line(f"RCPT TO:<{recipient}>")
        return client.reply().last


def test_only_the_tenant_that_the_pool_allows_is_heard(release: Release) -> None:
    allowed, refused = release.tenants
    mx = release.address("mx")
    release.apply(mail_domain("mine", "allowed.example.test", release.namespace, discard={}), namespace=allowed)
    release.apply(mail_domain("mine", "refused.example.test", release.namespace, discard={}), namespace=refused)
    release.wait_for("maildomain", "mine", "Ready", allowed)
    wait_until(lambda: release.condition("maildomain", "mine", "Accepted", refused)[0] == "False", "the refusal", 20.0)
    _, reason, message = release.condition("maildomain", "mine", "Accepted", refused)
    assert reason == "NamespaceNotAllowed"
    assert f"{release.namespace}/{SERVICE} does not allow this namespace: see its spec.allowedDomains" in message
    assert answer_to(mx, "info@allowed.example.test").startswith("250")
    assert answer_to(mx, "info@refused.example.test").startswith("550")


def test_a_tenant_is_heard_once_the_pool_allows_it_and_no_longer_than_that(release: Release) -> None:
    _, tenant = release.tenants
    mx, namespace = release.address("mx"), release.namespace
    before = mail_service([namespace, release.tenants[0]])
    release.apply(mail_domain("late", "late.example.test", namespace, discard={}), namespace=tenant)
    release.apply(mail_service([namespace, *release.tenants]))
    release.wait_for("maildomain", "late", "Ready", tenant)
    wait_until(lambda: answer_to(mx, "info@late.example.test").startswith("250"), "a welcome")
    release.apply(before)
    wait_until(lambda: answer_to(mx, "info@late.example.test").startswith("550"), "a refusal", 20.0)
    wait_until(lambda: release.condition("maildomain", "late", "Accepted", tenant)[0] == "False", "the word", 20.0)
