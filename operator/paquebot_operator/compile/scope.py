"""Where the references of one object lead: same namespace, resolved once, findings into the object's report."""

from dataclasses import dataclass, field
from datetime import datetime

from paquebot_mta.config.filters import Filter
from paquebot_mta.config.service import Certificate
from paquebot_mta.config.tables import Table
from paquebot_operator.api.common import BundleRef, KeyRef, LocalRef
from paquebot_operator.api.filters import PasswordRef
from paquebot_operator.api.signing import PrivateKeyRef
from paquebot_operator.compile.certificates import load_bundle, load_pair
from paquebot_operator.compile.conditions import Report
from paquebot_operator.compile.last_good import Kept
from paquebot_operator.compile.objects import ObjectKey, Objects
from paquebot_operator.compile.tables import Tables

Sought = tuple[str, ObjectKey]
"""Kind and key of an object that something refers to."""


@dataclass
class Scope:
    """Resolves references of one object.

    Attributes:
        used_tables, used_certificates, used_filters: by the names that the contract uses, ``namespace/name``.
        seen: every object that was looked for, and what was found; equal finds give an equal result again.
    """

    objects: Objects
    tables: Tables
    report: Report
    now: datetime
    used_tables: dict[str, Table] = field(default_factory=dict)
    used_certificates: dict[str, Certificate] = field(default_factory=dict)
    used_filters: dict[str, Filter] = field(default_factory=dict)
    seen: dict[Sought, object] = field(default_factory=dict)

    @property
    def used(self) -> Kept:
        """What was found so far."""
        return Kept(self.used_tables, self.used_certificates, self.used_filters)

    def table(self, ref: LocalRef | None, path: str, service: str) -> str:
        """Name of a table that has ``service``; empty without a reference, or if it can't be used."""
        if ref is None:
            return ""
        key = self.key_of(ref.name)
        resolved = self.tables.resolve(key)
        self.seen["Table", key] = resolved
        if resolved is None:
            message = f"there is no Table {ref.name} in this namespace: create it"
            self.report.unresolved("TableNotFound", path, message)
        elif resolved.table is None:
            self.report.unresolved("InvalidTable", path, f"Table {ref.name} can't be used: see its conditions")
        elif service not in resolved.table.services:
            self.report.unresolved("InvalidTable", path, f"Table {ref.name} must list {service} in spec.services")
        else:
            self.used_tables[str(key)] = resolved.table
            return str(key)
        return ""

    def pair(self, ref: LocalRef, path: str) -> str:
        """Name of a certificate with its key; empty if it can't be used."""
        key = self.key_of(ref.name)
        if str(key) in self.used_certificates:
            return str(key)
        chain = self._value("Secret", ref.name, "tls.crt", path)
        private = self._value("Secret", ref.name, "tls.key", path)
        if chain is None or private is None:
            return ""
        return self._keep(str(key), load_pair(chain, private, self.now, path, self.report))

    def bundle(self, ref: BundleRef | None, path: str) -> str:
        """Name of a bundle of authorities; empty without a reference, or if it can't be used."""
        if ref is None:
            return ""
        content = self._value(ref.kind, ref.name, ref.key, path)
        if content is None:
            return ""
        name = f"{ref.kind.lower()}:{self.key_of(ref.name)}:{ref.key}"
        return self._keep(name, load_bundle(content, path, self.report))

    def secret_text(self, ref: KeyRef | PrivateKeyRef | PasswordRef | None, path: str) -> str:
        """Text under a key of a Secret; empty without a reference, or if it can't be used."""
        content = self._value("Secret", ref.name, ref.key, path) if ref else b""
        try:
            return (content or b"").decode("utf-8").strip()
        except UnicodeDecodeError:
            self.report.unresolved("InvalidSecret", path, "the value is not text")
            return ""

    def below(self, kind: str, key: ObjectKey) -> "Scope":
        """A scope for another object that this one refers to: findings are its own."""
        return Scope(self.objects, self.tables, Report(kind, key), self.now)

    def take(self, other: "Scope") -> None:
        """Use what another object uses."""
        self.used_tables |= other.used_tables
        self.used_filters |= other.used_filters
        self.seen |= other.seen

    def key_of(self, name: str) -> ObjectKey:
        """Key of an object of the same namespace."""
        return ObjectKey(self.report.key.namespace, name)

    def _keep(self, name: str, certificate: Certificate | None) -> str:
        if certificate is None:
            return ""
        self.used_certificates[name] = certificate
        return name

    def _value(self, kind: str, name: str, key: str, path: str) -> bytes | None:
        holders = self.objects.secrets if kind == "Secret" else self.objects.config_maps
        found = holders.get(self.key_of(name))
        self.seen[kind, self.key_of(name)] = found
        if found is None:
            message = f"there is no {kind} {name} in this namespace: create it"
            self.report.unresolved(f"{kind}NotFound", path, message)
            return None
        try:
            content = found.value(key)
        except ValueError:
            self.report.unresolved("InvalidSecret", path, f"{kind} {name}, key {key}: not base64")
            return None
        if content is None:
            self.report.unresolved("KeyNotFound", path, f"{kind} {name} has no key {key}: add it")
        return content
