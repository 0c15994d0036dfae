# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-job``: ``commands`` declares what there is."""
