# SPDX-License-Identifier: BSD-2-Clause
"""Jobs, their storage, scheduling and execution; read ``job`` first, then ``queue``."""
