# SPDX-License-Identifier: BSD-2-Clause
"""The services of the remote API. Read ``start`` first."""
