# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-instance``: ``commands`` declares what there is."""
