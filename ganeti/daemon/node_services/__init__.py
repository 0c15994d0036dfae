# SPDX-License-Identifier: BSD-2-Clause
"""The services of the node daemon. Read ``start`` first."""
