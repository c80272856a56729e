"""One release for all tests of this folder, with a pool that is ready; each test leaves it so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kube.cluster import Cluster
from tests.kube.fixtures import RESTRICTED, skip_without
from tests.support.certificates import CertificateAuthority

from .release import HOSTNAME, SERVICE, Release, certificate_secret, mail_service, users_secret, users_table

FIRST_PASSWORD = "first"


@pytest.fixture(scope="package")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    """Who issues the listeners' certificates."""
    return CertificateAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="package")
def release(cluster: Cluster, authority: CertificateAuthority) -> Iterator[Release]:
    """The release, with its pool ready; the first tenant may attach domains to it, the second may not."""
    with skip_without():
        cluster.load_project_image()
    namespace, allowed, refused = (cluster.api.new_namespace(RESTRICTED) for _ in range(3))
    release = Release(cluster, namespace, (allowed, refused))
    try:
        release.install()
        release.apply(certificate_secret(authority.issue(HOSTNAME)), users_secret(FIRST_PASSWORD), users_table())
        release.apply(mail_service([namespace, allowed]))
        release.wait_for("mailservice", SERVICE, "Ready")
        yield release
    finally:
        release.remove()
