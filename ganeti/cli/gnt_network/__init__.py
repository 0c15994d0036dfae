# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-network``: ``commands`` declares what there is."""
