"""Where a filter is asked that could be asked anywhere."""

from paquebot_mta.config.filters import Phase
from paquebot_mta.filter.tools import Places


def phase_in(places: Places, wanted: Phase) -> Phase:
    """Give the phase that is wanted; ``rcpt-to`` where only domains use the filter, which see no earlier one."""
    return "rcpt-to" if places.domains and not places.listeners else wanted
