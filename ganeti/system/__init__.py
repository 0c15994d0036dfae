# SPDX-License-Identifier: BSD-2-Clause
"""The only doors to the operating system, each behind an interface of ``interfaces``."""
