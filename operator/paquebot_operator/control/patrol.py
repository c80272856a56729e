"""Config Secrets looked at one after the other: one that somebody edited or deleted is noticed within seconds.

They can't be watched: who may watch Secrets may read all of them. Only versions are asked, from the API server's cache.
"""

from collections.abc import Callable, Iterable
from typing import Final

from paquebot_operator.cluster.api import Api
from paquebot_operator.cluster.errors import AbsentError, ClusterError
from paquebot_operator.cluster.resources import SECRETS, Place
from paquebot_operator.control.clocks import Clock
from paquebot_operator.control.live import LiveSecrets

PAUSE_SECONDS: Final = 0.25
"""Between two, as long as there are few MailServices."""
MAX_LOOKS_PER_SECOND: Final = 20
"""For all MailServices together."""


class Patrol:
    """Goes over the config Secrets of one MailService.

    Args:
        live: what the operator believes is there; None while it doesn't know.
        changed: told when something else is.
        among: how many MailServices are looked after so.
        places: the first two are looked at most often: without the index or the service nothing works.
    """

    def __init__(
        self,
        api: Api,
        clock: Clock,
        places: Iterable[Place],
        live: Callable[[], LiveSecrets | None],
        changed: Callable[[], None],
        among: Callable[[], int],
    ) -> None:
        self._api = api
        self._clock = clock
        self._places = tuple(places)
        self._among = among
        self._live = live
        self._changed = changed

    async def keep_up(self) -> None:
        """Go round for ever."""
        while True:
            for number, place in enumerate(self._places[2:]):
                for each in (self._places[number % 2], place):
                    await self._clock.sleep(max(PAUSE_SECONDS, self._among() / MAX_LOOKS_PER_SECOND))
                    await self.look(each)

    async def look(self, place: Place) -> None:
        """Look at one."""
        live = self._live()
        if live is None or place.name in live.foreign:
            return
        believed = live.versions.get(place.name, "")
        try:
            version = await self._api.resource_version(SECRETS, place)
        except AbsentError:
            version = ""
        except ClusterError:
            return
        # A write of our own may have come in between.
        is_still = self._live() is live and live.versions.get(place.name, "") == believed
        if is_still and version != believed and not _is_older(version, believed):
            self._changed()


def _is_older(version: str, than: str) -> bool:
    """Whether the API server's cache is behind what we wrote."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)
