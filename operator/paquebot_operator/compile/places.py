"""Where things are in a pod, as far as a configuration may name them."""

from typing import Final

VOLUME: Final = "/var/lib/paquebot"
QUEUE: Final = f"{VOLUME}/queue"
MAIL: Final = f"{VOLUME}/mail"
