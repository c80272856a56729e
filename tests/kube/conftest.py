"""What tests of the operator share: an API server that knows our kinds, and a namespace of one's own on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .control_plane import ControlPlane
from .operator_case import Case, install_definitions


@pytest.fixture(scope="module")
def plane(apiserver: ControlPlane) -> ControlPlane:
    install_definitions(apiserver)
    return apiserver


@pytest.fixture
def case(plane: ControlPlane, tmp_path: Path) -> Iterator[Case]:
    case = Case(plane, plane.api.new_namespace(), tmp_path)
    yield case
    case.rest.close()
