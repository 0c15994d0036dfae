# SPDX-License-Identifier: BSD-2-Clause
"""Limits on the resources that clients use; ``channel`` and ``site`` apply them."""
