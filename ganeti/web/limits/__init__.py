# SPDX-License-Identifier: BSD-2-Clause
"""Limits on what clients may take; ``channel`` and ``site`` apply them."""
