# SPDX-License-Identifier: BSD-2-Clause
"""Changes of the cluster as events: ``cursor`` says where one is in the stream, ``event`` what it
is and who wants it, ``log`` keeps the newest. The master and the remote API use the same log."""
