# SPDX-License-Identifier: BSD-2-Clause
"""One master after another: begin with ``failover``, which does it; ``history`` reads the past."""
