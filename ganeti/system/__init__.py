# SPDX-License-Identifier: BSD-2-Clause
"""The only access to the operating system, behind the interfaces in ``interfaces``."""
