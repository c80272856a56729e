"""Limits, queue, DNS and logging of a MailService, into the contract's."""

from typing import Literal, cast

from paquebot_mta.config import service as contract
from paquebot_mta.config.key_ring import key_ring_fault
from paquebot_mta.config.rates import Rates
from paquebot_operator.api import tuning as api
from paquebot_operator.compile import names
from paquebot_operator.compile.scope import Scope


def compile_queue(queue: api.Queue, scope: Scope) -> contract.Queue:
    """The spool; ages of warnings ascend, each once."""
    return contract.Queue(
        backend=queue.backend,
        ttl_seconds=queue.ttl_seconds,
        retry=contract.Retry(base_seconds=queue.retry.base_seconds, local_base_seconds=queue.retry.local_base_seconds),
        warn_after_seconds=tuple(sorted(set(queue.warn_after_seconds))),
        minimum_free_percent=queue.minimum_free_percent,
        lease_seconds=queue.lease_seconds,
        grave_seconds=queue.grave_seconds,
        compression=queue.compression,
        key_ring=_key_ring(queue, scope),
    )


def _key_ring(queue: api.Queue, scope: Scope) -> str:
    """The key ring's text. One that can't be used is refused: without it mail would be kept unencrypted."""
    if queue.key_ring_ref is None:
        return ""
    path, errors = "spec.queue.keyRingRef", len(scope.report.found)
    text = scope.secret_text(queue.key_ring_ref, path)
    if len(scope.report.found) == errors and (fault := key_ring_fault(text)):
        scope.report.unresolved("InvalidKeyRing", path, f"the value is no key ring: {fault}")
    return text


def compile_limits(limits: api.Limits) -> contract.Limits:
    """What one client may use up."""
    return contract.Limits(
        sessions=limits.max_sessions,
        sessions_per_client=limits.max_sessions_per_client,
        sessions_per_network=limits.max_sessions_per_network,
        message_bytes=limits.max_message_bytes,
        messages_per_session=limits.max_messages_per_session,
        recipients=limits.max_recipients,
        errors=limits.max_errors,
        junk_commands=limits.max_junk_commands,
        auth_failures=limits.max_auth_failures,
        received_headers=limits.max_received_headers,
        header_bytes=limits.max_header_bytes,
        command_timeout_seconds=limits.command_timeout_seconds,
        data_timeout_seconds=limits.data_timeout_seconds,
        data_bytes_per_second=limits.min_data_bytes_per_second,
        session_timeout_seconds=limits.session_timeout_seconds,
        handshake_timeout_seconds=limits.handshake_timeout_seconds,
        stress_sessions_percent=limits.stress_sessions_percent,
        stress_timeout_seconds=limits.stress_timeout_seconds,
        rates=_rates(limits.rates),
    )


def _rates(rates: api.Rates) -> Rates:
    return Rates(
        sessions_per_minute=rates.max_sessions_per_minute,
        messages_per_minute=rates.max_messages_per_minute,
        recipients_per_minute=rates.max_recipients_per_minute,
        auths_per_minute=rates.max_auths_per_minute,
        handshakes_per_minute=rates.max_handshakes_per_minute,
        auth_failures_per_minute=rates.max_auth_failures_per_minute,
        user_messages_per_hour=rates.max_user_messages_per_hour,
        user_recipients_per_hour=rates.max_user_recipients_per_hour,
    )


def compile_resolver(resolver: api.Resolver, scope: Scope) -> contract.Resolver:
    """DNS."""
    for place, server in enumerate(resolver.servers):
        names.ip_address(_without_port(server), f"spec.resolver.servers[{place}]", scope.report)
    return contract.Resolver(
        servers=resolver.servers,
        timeout_seconds=resolver.timeout_milliseconds / 1000,
        cache_entries=resolver.max_cache_entries,
    )


def compile_bounce(bounce: api.Bounce, hostname: str, scope: Scope) -> contract.Bounce:
    """Notifications; the author's local-part keeps its case."""
    text = bounce.from_ if "@" in bounce.from_ else f"{bounce.from_}@{hostname or 'localhost'}"
    names.address(text, "spec.bounce.from", scope.report)
    return contract.Bounce(from_=bounce.from_, attach=bounce.attach)


def compile_logging(logging: api.Logging, scope: Scope) -> contract.Logging:
    """What is logged."""
    return contract.Logging(
        level=cast(Literal["debug", "info", "warning", "error"], logging.level.lower()),
        personal_data=logging.personal_data,
        pseudonym_key=scope.secret_text(logging.pseudonym_key_ref, "spec.logging.pseudonymKeyRef"),
    )


def _without_port(server: str) -> str:
    if server.startswith("["):
        return server[1:].partition("]")[0]
    return server.rpartition(":")[0] if server.count(":") == 1 else server
