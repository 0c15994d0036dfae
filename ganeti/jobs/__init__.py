# SPDX-License-Identifier: BSD-2-Clause
"""Jobs: what was asked, kept until it has ended; read ``job`` first, then ``queue``."""
