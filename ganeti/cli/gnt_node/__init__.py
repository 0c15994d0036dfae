# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-node``: ``commands`` declares what there is."""
