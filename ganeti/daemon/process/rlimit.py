# SPDX-License-Identifier: BSD-2-Clause
"""The limit of open files of a daemon."""

from __future__ import annotations

import resource


def allow(wanted: int) -> int:
    """Raise the limit of open files to ``wanted``, or as far as permitted; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
