# SPDX-License-Identifier: BSD-2-Clause
"""Operations without running daemons: creating, joining and leaving a cluster, failover.

Plain blocking code without Twisted, for tools and for daemons that have not started yet.
"""
