# SPDX-License-Identifier: BSD-2-Clause
"""Builds the wheel: as setuptools does, with the files of ``shared_data``.

``pyproject.toml`` names this module as its build backend (PEP 517).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

SHARED = Path("build/shared")
"""Where ``setup.py`` finds the files; the frontend calls from the folder of the tree."""

_Settings = Mapping[str, object] | None


def get_requires_for_build_wheel(config_settings: _Settings = None) -> Sequence[str]:
    """Return what the build needs: manual pages are made from the declarations of the commands."""
    from tools.requirements import required

    return [*build_meta.get_requires_for_build_wheel(config_settings), *required()]


def build_wheel(
    wheel_directory: str,
    config_settings: _Settings = None,
    metadata_directory: str | None = None,
) -> str:
    """Build the wheel, and return its name."""
    from tools.shared_data import make_shared_data

    shutil.rmtree(SHARED, ignore_errors=True)
    make_shared_data(SHARED)
    name: str = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    return name
