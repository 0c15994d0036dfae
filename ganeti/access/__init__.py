# SPDX-License-Identifier: BSD-2-Clause
"""What users of the remote API may do; ``rights`` is the place to begin."""
