"""Where things are in a pod. Documented: maildirs and mboxes belong below ``MAIL``, nothing else is writable."""

CONFIG = "/etc/paquebot/config"
VOLUME = "/var/lib/paquebot"
SPOOL = f"{VOLUME}/queue"
MAIL = f"{VOLUME}/mail"
RUNTIME = "/run/paquebot"
TEMPORARY = "/tmp"  # noqa: S108 - a volume of the pod's own
