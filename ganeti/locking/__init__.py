# SPDX-License-Identifier: BSD-2-Clause
"""Who may work on what, granted whole or not at all; read ``table`` first."""
