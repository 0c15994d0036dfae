# SPDX-License-Identifier: BSD-2-Clause
"""An append-only, replicated log of commits; read ``interfaces`` first."""
