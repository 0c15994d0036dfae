# SPDX-License-Identifier: BSD-2-Clause
"""The event stream for clients: ``hub`` follows the master once for all of them, ``stream`` is one
of them, whose events are written as ``server_sent`` or over a ``web_socket``."""
