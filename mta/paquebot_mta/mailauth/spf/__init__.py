"""Sender Policy Framework: may this client use this domain (RFC 7208)?"""

from paquebot_mta.mailauth.spf.check import check_spf
from paquebot_mta.mailauth.spf.values import Result, SpfResult

__all__ = ["Result", "SpfResult", "check_spf"]
