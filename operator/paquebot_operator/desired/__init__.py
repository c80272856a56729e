"""The objects of Kubernetes that a MailService wants, as manifests: pure, byte-stable, one file a kind.

It asks nobody and writes nothing: what is in the cluster already is none of its business.
"""

from paquebot_operator.desired.config_secrets import ConfigTooBigError as ConfigTooBigError
from paquebot_operator.desired.config_secrets import config_secrets as config_secrets
from paquebot_operator.desired.context import Context as Context
from paquebot_operator.desired.egress import egress_of as egress_of
from paquebot_operator.desired.objects import KINDS as KINDS
from paquebot_operator.desired.objects import desired_objects as desired_objects
from paquebot_operator.desired.programs import programs_of as programs_of
