"""Where things are in a pod. Documented: maildirs and mboxes belong below ``MAIL``, nothing else is writable."""

from paquebot_operator.compile import places

CONFIG = "/etc/paquebot/config"
VOLUME = places.VOLUME
SPOOL = places.QUEUE
MAIL = places.MAIL
RUNTIME = "/run/paquebot"
TEMPORARY = "/tmp"  # noqa: S108 - a volume of the pod's own
