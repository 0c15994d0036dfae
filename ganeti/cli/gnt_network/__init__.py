# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-network``; ``commands`` declares its commands."""
