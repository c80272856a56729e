"""A cluster in memory, and the pods of a MailService in it."""

from __future__ import annotations

import pytest

from .fake_cluster import FakeCluster
from .pool import Pool


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def pool(cluster: FakeCluster) -> Pool:
    return Pool(cluster)
