"""The grammar of names as the contract has it, for those who may know the contract only."""

from paquebot_mta.mail.address import AddressError as AddressError
from paquebot_mta.mail.address import parse_address as parse_address
from paquebot_mta.mail.address import parse_domain as parse_domain
