# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-debug``: ``commands`` declares what there is."""
