# SPDX-License-Identifier: BSD-2-Clause
"""Every resource of the remote API, one module per family; ``table`` has them all."""
