# SPDX-License-Identifier: BSD-2-Clause
"""The event stream for clients: ``hub`` follows the master once for all of them, ``stream`` is a
client of server-sent events."""
