# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster``: ``commands`` declares what there is."""
