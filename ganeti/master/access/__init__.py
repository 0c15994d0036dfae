# SPDX-License-Identifier: BSD-2-Clause
"""What callers of the remote API may ask the master; ``gate`` is the place to begin."""
