# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster``; ``commands`` declares its commands."""
