# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-job``; ``commands`` declares its commands."""
