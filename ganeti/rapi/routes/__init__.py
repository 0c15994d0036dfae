# SPDX-License-Identifier: BSD-2-Clause
"""The resources of the remote API, one module per family; ``route_table`` has all of them."""
