# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-access``: ``commands`` declares what there is."""
