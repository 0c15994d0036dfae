# SPDX-License-Identifier: BSD-2-Clause
"""Events about changes of the cluster, used by the master and the remote API.

``stream_position`` defines cursors, ``event`` events and their selection, ``log`` keeps recent
events.
"""
