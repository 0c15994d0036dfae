# SPDX-License-Identifier: BSD-2-Clause
"""The services of the master daemon. Read ``start`` first."""
