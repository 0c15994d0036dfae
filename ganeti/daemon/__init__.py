# SPDX-License-Identifier: BSD-2-Clause
"""The daemons and cron programs; the only package that builds real objects. Read ``service``
first."""
