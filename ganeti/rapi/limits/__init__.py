# SPDX-License-Identifier: BSD-2-Clause
"""Limits on what clients of the remote API may take; ``channel`` applies them."""
