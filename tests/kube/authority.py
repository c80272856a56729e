"""The cluster's own certificate authority, its users' certificates and kubeconfig files.

Names are Kubernetes': the common name of a client certificate is the user, its organisations are the groups.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ADMIN = ("admin", ("system:masters",))
_LIFE = datetime.timedelta(days=365)
_USAGES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


class Authority:
    """An authority whose files lie in `directory`: found there again, else made."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "ca.crt"
        key_path = directory / "ca.key"
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.path.exists():
            self._make(key_path)
        self._certificate = x509.load_pem_x509_certificate(self.path.read_bytes())
        self._key = _load(key_path)

    def _make(self, key_path: Path) -> None:
        key = write_key(key_path)
        name = _name("paquebot-test-authority", ())
        extension = x509.BasicConstraints(ca=True, path_length=None)
        builder = _builder(name, name, key.public_key()).add_extension(extension, critical=True)
        _write_whole(self.path, builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, user: str, groups: Sequence[str] = (), hosts: Sequence[str] = ()) -> tuple[Path, Path]:
        """Return the paths of a certificate, `<name>.crt`, and its key, made if they are not there yet.

        `hosts` are DNS names and addresses.
        """
        certificate_path, key_path = (self.directory / f"{name}{suffix}" for suffix in (".crt", ".key"))
        if certificate_path.exists():
            return certificate_path, key_path
        key = write_key(key_path)
        builder = _builder(_name(user, groups), self._certificate.subject, key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage(_USAGES), critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        _write_whole(certificate_path, certificate.public_bytes(serialization.Encoding.PEM))
        return certificate_path, key_path

    def kubeconfig(self, url: str, user: str, groups: Sequence[str] = ()) -> Path:
        """Return the path of a kubeconfig file for the API server at `url`, as that user."""
        name = user.replace(":", "-")
        certificate, key = self.issue(name, user, groups)
        client = {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)}
        return write_kubeconfig(self.directory / f"{name}.kubeconfig", url, self.path, client)


def write_kubeconfig(path: Path, url: str, ca: Path, user: dict[str, str]) -> Path:
    """Write a kubeconfig file of one cluster and one user (fields as kubeconfig's `user` has them)."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority-data": _base64(ca)}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    _write_whole(path, json.dumps(config, indent=2).encode())
    return path


def write_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Make a private key and write it, for its owner only."""
    key = ec.generate_private_key(ec.SECP256R1())
    path.touch(mode=0o600)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return key


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file that another process never sees in part."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.touch(mode=0o600)
    new.write_bytes(content)
    new.replace(path)


def _load(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _name(user: str, groups: Sequence[str]) -> x509.Name:
    organisations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organisations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
    return builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + _LIFE)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
