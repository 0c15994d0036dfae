# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-storage``: ``commands`` declares what there is."""
