# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-filter``: ``commands`` declares what there is."""
