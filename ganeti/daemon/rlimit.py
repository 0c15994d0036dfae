# SPDX-License-Identifier: BSD-2-Clause
"""How many files and connections a daemon may have open at once."""

from __future__ import annotations

import resource


def allow(wanted: int) -> int:
    """Let this process have ``wanted`` open at once, or as many as the host allows; how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
