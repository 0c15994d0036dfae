# SPDX-License-Identifier: BSD-2-Clause
"""The event stream: ``hub`` follows the master once for all clients, ``stream`` is the answer to
one of them, encoded as ``server_sent`` events or over a ``web_socket``."""
