# SPDX-License-Identifier: BSD-2-Clause
"""The programs: the only place where concrete things are built; start with ``service``."""
