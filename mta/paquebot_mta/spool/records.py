"""The payloads of records: MessagePack by field name, unknown names ignored, so that fields can be added.

``generation`` orders records of different incarnations about the same envelope: an adopter's is greater than that of
everyone it adopted, as Lamport's clocks do it; within one incarnation the place in the log decides.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from paquebot_mta.mail.envelope import EnvelopeState, Message, Result
from paquebot_mta.mail.ids import Evpid, Msgid
from paquebot_mta.mail.reply import Reply

Natural = Annotated[int, Meta(ge=0)]


class CompactState(Struct, frozen=True, array_like=True, omit_defaults=True):
    """The state of one envelope as it is kept in memory and in MOVED records."""

    attempts: int
    due_at: float = 0.0
    last_attempt_at: float = 0.0
    warned_at: float = 0.0
    suspended: bool = False
    final: bool = False
    code: int = 0
    status: str = ""
    text: str = ""
    remote: bool = False


States = dict[str, CompactState]
"""By the last 8 digits of the envelope id."""


class Accepted(Struct, frozen=True, omit_defaults=True):
    """ACCEPT ends a message, MOVED ends its copy.

    Attributes:
        body_bytes: of log between the start of the message's first BODY record and this record.
        origin: MOVED: the incarnation whose copy is void now; ``origin_msgid`` its id there if it had another.
        states: MOVED: what was known of its envelopes.
        together: ACCEPT: it counts only if CONFIRMED names it, for it is one of several messages of a transaction.
    """

    message: Message
    body_bytes: Natural
    origin: str = ""
    origin_msgid: str = ""
    generation: Natural = 0
    states: States = {}
    together: bool = False


class Confirmed(Struct, frozen=True):
    """CONFIRMED: all messages of a transaction are durable in this incarnation; its client is told no sooner."""

    msgids: tuple[Msgid, ...]


class Intended(Struct, frozen=True, omit_defaults=True):
    """INTENT: a final dot is about to be sent for these envelopes."""

    evpids: tuple[Evpid, ...]
    incarnation: str = ""
    generation: Natural = 0


class Results(Struct, frozen=True, omit_defaults=True):
    """RESULT: what became of envelopes of one message; ``incarnation`` says where it lies, empty if here."""

    results: tuple[Result, ...]
    incarnation: str = ""
    generation: Natural = 0


class Done(Struct, frozen=True, omit_defaults=True):
    """DONE: the message is void without any result (nobody was told that it was accepted)."""

    incarnation: str = ""


class Adopted(Struct, frozen=True, omit_defaults=True):
    """ADOPT: from here on this log speaks for those incarnations; synced before any of their mail is served."""

    incarnations: tuple[str, ...]
    generation: Natural


class Clock(Struct, frozen=True):
    """CLOCK: both clocks at one moment, so that a jump of the wall clock can be seen later."""

    wall_seconds: float
    boot_seconds: float


_ENCODER: Final = msgspec.msgpack.Encoder()
encode: Final = _ENCODER.encode
decode_accepted: Final = msgspec.msgpack.Decoder(Accepted).decode
decode_confirmed: Final = msgspec.msgpack.Decoder(Confirmed).decode
decode_intended: Final = msgspec.msgpack.Decoder(Intended).decode
decode_results: Final = msgspec.msgpack.Decoder(Results).decode
decode_done: Final = msgspec.msgpack.Decoder(Done).decode
decode_adopted: Final = msgspec.msgpack.Decoder(Adopted).decode
decode_state: Final = msgspec.msgpack.Decoder(CompactState).decode
decode_states: Final = msgspec.msgpack.Decoder(States).decode


def compact(result: Result) -> CompactState:
    """Shrink a result to what must be remembered of it."""
    state, reply = result.state, result.state.last_reply
    if result.final is not None:
        return CompactState(state.attempts, final=True)
    told = (reply.code, reply.status, reply.text, reply.remote) if reply else (0, "", "", False)
    return CompactState(
        state.attempts, state.due_at, state.last_attempt_at, state.warned_at, state.suspended, False, *told
    )


def expand(state: CompactState | None) -> EnvelopeState:
    """Restore an envelope's state; None is the state of a fresh one."""
    if state is None:
        return EnvelopeState()
    reply = Reply(state.code, state.text, state.status, state.remote) if state.code else None
    return EnvelopeState(state.attempts, state.due_at, state.last_attempt_at, reply, state.warned_at, state.suspended)
