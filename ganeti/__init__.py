# SPDX-License-Identifier: BSD-2-Clause
"""A cluster manager for virtual machines; ``doc/architecture.md`` is the map."""

__version__ = "3.1.0"
