# SPDX-License-Identifier: BSD-2-Clause
"""Programs for those who work on this tree or try it; none of them is installed."""
