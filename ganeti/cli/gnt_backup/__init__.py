# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-backup``: ``commands`` declares what there is."""
