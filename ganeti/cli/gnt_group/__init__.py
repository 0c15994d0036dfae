# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-group``: ``commands`` declares what there is."""
