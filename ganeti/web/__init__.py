# SPDX-License-Identifier: BSD-2-Clause
"""What the servers of HTTP share: ``twisted.web`` with deadlines, and within ``limits``.

``channel`` is a connection with deadlines, ``site`` accepts such connections and counts them, and
``request`` keeps its body in memory. The remote API and the calls to nodes build upon them.
"""
