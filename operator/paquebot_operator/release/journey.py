"""A message's whole way, as a stranger goes it: attach a domain, send through the Service, read back at the far end."""

import asyncio
import smtplib
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from time import monotonic
from typing import Any, Final

import msgspec

from paquebot_operator.api.mailservice import MailService
from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.errors import ClusterError
from paquebot_operator.cluster.resources import MAIL_DOMAINS, MAIL_SERVICES, Json, Place
from paquebot_operator.desired.names import listener_service_name
from paquebot_operator.desired.ports import service_port
from paquebot_operator.release.connection import POLL_SECONDS, Say, insist
from paquebot_operator.release.sink import Received, Sink
from paquebot_operator.release.trial import trial_domain, trial_service

SMTP_SECONDS: Final = 10.0
PERMANENT: Final = 500


class TrialError(Exception):
    """The journey ended early; the text says where and why."""


@dataclass(frozen=True)
class Trial:
    """What is tried.

    Attributes:
        namespace, name: of the objects that are applied.
        service: a MailService that is there; empty to make one.
        domain: the mail domain, unique to this trial.
        address: of the machine that the sink runs on, as the mail servers reach it.
        until: when to give up, on the monotonic clock.
        mx: host and port to send to instead of the Service's.
    """

    namespace: str
    name: str
    service: str
    domain: str
    address: str
    until: float
    mx: tuple[str, int] | None = None

    @property
    def recipient(self) -> str:
        """Whom the message is for."""
        return f"passenger@{self.domain}"


async def travel(api: Api, sink: Sink, trial: Trial, say: Say) -> None:
    """Go all the way, then take away what was applied.

    Raises:
        TrialError: it went wrong, or not on in time.
        ClusterError: the API server would not.
    """
    try:
        host, port = trial.mx or await _service_address(api, trial, say)
        await _attach_domain(api, sink, trial, say)
        await _send(trial, host, port, say)
        await _read_back(sink, trial)
        say(f"the message for {trial.recipient} was read back")
    finally:
        await _clean_up(api, trial)


async def _service_address(api: Api, trial: Trial, say: Say) -> tuple[str, int]:
    """Host and port of an MX listener's Service, of a MailService that is ready."""
    place = Place(trial.namespace, trial.service or trial.name)
    if not trial.service:
        await insist(lambda: api.apply(trial_service(trial.namespace, trial.name)), until=trial.until)
        say(f"MailService {trial.name} applied")
    found = await _wait_for(api, MAIL_SERVICES, place, "Ready", trial)
    say(f"MailService {place.name} is ready")
    spec = msgspec.convert(found, MailService, strict=False).spec
    for listener in spec.listeners:
        if listener.role == "MX" and listener.port is not None and listener.service.type != "None":
            return f"{listener_service_name(place.name, listener.name)}.{place.namespace}.svc", service_port(listener)
    raise TrialError(f"MailService {place.name} has no MX listener with a Service")


async def _attach_domain(api: Api, sink: Sink, trial: Trial, say: Say) -> None:
    host = f"[{trial.address}]" if ":" in trial.address else trial.address
    manifest = trial_domain(
        trial.namespace,
        trial.name,
        service=trial.service or trial.name,
        domain=trial.domain,
        sink=f"{host}:{sink.port}",
    )
    await insist(lambda: api.apply(manifest), until=trial.until)
    say(f"MailDomain {trial.name} ({trial.domain}) applied")
    await _wait_for(api, MAIL_DOMAINS, Place(trial.namespace, trial.name), "Programmed", trial)
    say("it is programmed")


async def _wait_for(api: Api, resource: Any, place: Place, wanted: str, trial: Trial) -> Json:
    """Poll an object until a condition holds for its newest generation."""
    told = "no condition yet: does an operator watch this namespace?"
    while monotonic() < trial.until:
        found = await insist(lambda: api.get(resource, place), until=trial.until)
        conditions = _conditions(found)
        if conditions.get(wanted, {}).get("status") == "True":
            return found
        told = "; ".join(_spelled(each) for each in conditions.values() if each.get("status") != "True") or told
        await asyncio.sleep(POLL_SECONDS)
    raise TrialError(f"{resource.kind} {place.name} did not become {wanted} in time: {told}")


def _conditions(found: Json) -> Mapping[str, Json]:
    generation = found["metadata"].get("generation", 0)
    listed = (found.get("status") or {}).get("conditions") or ()
    return {each["type"]: each for each in listed if each.get("observedGeneration", 0) >= generation}


def _spelled(condition: Json) -> str:
    return f"{condition['type']} {condition['status']}, {condition.get('reason', '')}: {condition.get('message', '')}"


async def _send(trial: Trial, host: str, port: int, say: Say) -> None:
    """Send by SMTP, again while the refusal is temporary."""
    while True:
        try:
            await asyncio.to_thread(_send_once, trial, host, port)
            break
        except (OSError, smtplib.SMTPException) as error:
            if _code(error) >= PERMANENT or monotonic() + POLL_SECONDS >= trial.until:
                raise TrialError(f"{host}:{port} did not take the message: {error}") from None
        await asyncio.sleep(POLL_SECONDS)
    say(f"{host}:{port} accepted a message for {trial.recipient}")


def _code(error: Exception) -> int:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return max((code for code, _ in error.recipients.values()), default=0)
    return error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else 0


def _send_once(trial: Trial, host: str, port: int) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "harbour@paquebot-test.invalid", trial.recipient
    message["Subject"] = "Does mail go through?"
    message.set_content(f"The trial {trial.domain} was here.\n")
    with smtplib.SMTP(host, port, local_hostname="test.paquebot-test.invalid", timeout=SMTP_SECONDS) as client:
        client.send_message(message, from_addr="harbour@paquebot-test.invalid", to_addrs=[trial.recipient])


async def _read_back(sink: Sink, trial: Trial) -> Received:
    try:
        async with asyncio.timeout(max(1.0, trial.until - monotonic())):
            while True:
                received = await sink.messages.get()
                if trial.domain.encode() in received.content:
                    return received
    except TimeoutError:
        raise TrialError(f"accepted, but not delivered to {trial.address}:{sink.port} in time") from None


async def _clean_up(api: Api, trial: Trial) -> None:
    """Delete what was applied; a leftover must not hide why the trial failed."""
    resources = (MAIL_DOMAINS,) if trial.service else (MAIL_DOMAINS, MAIL_SERVICES)
    for resource in resources:
        try:
            await api.delete(resource, Place(trial.namespace, trial.name))
        except ClusterError:
            continue
