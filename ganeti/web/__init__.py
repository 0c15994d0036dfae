# SPDX-License-Identifier: BSD-2-Clause
"""The base of all HTTP servers: ``twisted.web`` with deadlines and ``limits``.

``channel`` is a connection with deadlines, ``site`` accepts and counts connections, and ``request``
keeps its body in memory. The remote API and the node calls build on them.
"""
