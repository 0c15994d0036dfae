# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-backup``; ``commands`` declares its commands."""
