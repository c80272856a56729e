"""What somebody who took over an MTA pod of a release has: the queue and the pod's configuration, and nothing else."""

from __future__ import annotations

import pytest

from tests.kube.inside import API_SERVER, PROBE

from .release import Release

pytestmark = pytest.mark.integration


def test_a_pod_has_no_token_no_capability_and_no_place_to_write_but_its_volume(release: Release) -> None:
    for pod in release.pods():
        found = release.inside(pod, PROBE)
        assert found["uid"] == 65_532
        assert set(found["capabilities"]) == {"0" * 16}
        assert (found["no_new_privileges"], found["seccomp"], found["token"]) == ("1", "2", False)
        kernels = {place for place in found["writable"] if place.startswith(("/dev/shm", "/dev/mqueue"))}
        assert set(found["writable"]) - kernels == {"/run/paquebot", "/tmp", "/var/lib/paquebot"}


def test_the_api_server_tells_a_pod_nothing(release: Release) -> None:
    for pod in release.pods():
        answers = release.inside(pod, API_SERVER)
        assert answers
        assert set(answers.values()) <= {0, 401, 403}
