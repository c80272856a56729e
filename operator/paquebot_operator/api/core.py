"""Secret and ConfigMap of core v1, as much of them as is read. Unknown fields are the API server's business."""

import binascii
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from paquebot_operator.api.common import DataKey, ObjectMeta

MAX_VALUE_CHARACTERS = 1_500_000  # the API server refuses objects over 1 MiB; base64 takes a third more

Data = Annotated[dict[DataKey, Annotated[str, Meta(max_length=MAX_VALUE_CHARACTERS)]], Meta(max_length=1024)]


class Secret(Struct, frozen=True, kw_only=True, rename="camel"):
    """A Secret; its values never appear in its representation."""

    api_version: Literal["v1"]
    kind: Literal["Secret"]
    metadata: ObjectMeta
    type: Annotated[str, Meta(max_length=253)] = "Opaque"
    data: Data | None = None
    string_data: Data | None = None

    def __repr__(self) -> str:
        return f"Secret({self.metadata.namespace}/{self.metadata.name})"

    def value(self, key: str) -> bytes | None:
        """The bytes under ``key``, None if there is no such key; ``stringData`` wins, as on the API server.

        Raises ValueError if ``data`` is not base64.
        """
        text = (self.string_data or {}).get(key)
        if text is not None:
            return text.encode()
        encoded = (self.data or {}).get(key)
        return None if encoded is None else _decoded(encoded)


class ConfigMap(Struct, frozen=True, kw_only=True, rename="camel"):
    """A ConfigMap; its binary data is not read."""

    api_version: Literal["v1"]
    kind: Literal["ConfigMap"]
    metadata: ObjectMeta
    data: Data = field(default_factory=dict)

    def value(self, key: str) -> bytes | None:
        """The bytes under ``key``, None if there is no such key."""
        text = self.data.get(key)
        return None if text is None else text.encode()


def _decoded(encoded: str) -> bytes:
    try:
        return binascii.a2b_base64("".join(encoded.split()), strict_mode=True)
    except binascii.Error:
        raise ValueError("not base64") from None
