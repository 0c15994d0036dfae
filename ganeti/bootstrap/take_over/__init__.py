# SPDX-License-Identifier: BSD-2-Clause
"""Take-over of a cluster from Ganeti: read its folder, examine it, exchange it for one of ours.

Read ``ganeti_folder`` first, then ``examination`` and ``adopt``; ``folder_exchange`` is the last
step of the take-over and of the way back (``give_back``).
"""
