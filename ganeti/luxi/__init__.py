# SPDX-License-Identifier: BSD-2-Clause
"""LUXI, the protocol of clients and the master over a Unix socket.

``methods`` declares the requests and ``framing`` their encoding; ``server`` and ``connection`` are
the master's side, ``client`` and ``async_client`` the clients.
"""
