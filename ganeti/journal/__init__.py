# SPDX-License-Identifier: BSD-2-Clause
"""An append-only log that is durable when it says so; read ``interfaces`` first."""
