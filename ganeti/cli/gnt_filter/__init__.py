# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-filter``; ``commands`` declares its commands."""
