"""A verifier of DKIM signatures that is nobody's relative: Mail::DKIM, which comes with Debian's opendkim-tools."""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .processes import find_program, run_command

_SCRIPT = """
use Mail::DKIM::Verifier;
my $record = shift @ARGV;
{
    no warnings;
    require Mail::DKIM::PublicKey;
    *Mail::DKIM::PublicKey::fetch_async = sub { my ($class, %query) = @_;
        my $key = Mail::DKIM::PublicKey->parse($record);
        $key->{Selector} = $query{Selector}; $key->{Domain} = $query{Domain};
        my $done = $query{Callbacks}->{Success} || sub { $_[0] }; return sub { $done->($key) } };
}
binmode STDIN; local $/; my $message = <STDIN>;
my $verifier = Mail::DKIM::Verifier->new(); $verifier->PRINT($message); $verifier->CLOSE;
print map { $_->domain . " " . $_->result_detail . "\\n" } $verifier->signatures;
"""


class DkimKey:
    """A private key in a file of `folder`, and its record."""

    def __init__(self, folder: Path) -> None:
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        self.path = folder / "dkim.pem"
        self.path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
            )
        )
        self.path.chmod(0o600)
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.record = f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"

    def verify(self, message: bytes) -> list[str]:
        """Give what becomes of each signature: its domain and `pass`, `fail (...)` or `invalid (...)`."""
        script = self.path.with_suffix(".pl")
        script.write_text(_SCRIPT)
        argv = [find_program("perl"), str(script), self.record]
        return run_command(argv, stdin=message).checked().stdout.decode().split("\n")[:-1]
