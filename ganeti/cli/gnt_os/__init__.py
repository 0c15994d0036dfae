# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-os``: ``commands`` declares what there is."""
