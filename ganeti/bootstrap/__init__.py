# SPDX-License-Identifier: BSD-2-Clause
"""What must happen before there are daemons, or after: ``founding``, ``joining``, ``ending``.

Plain blocking code without Twisted, for tools and for a daemon that has not started yet.
"""
