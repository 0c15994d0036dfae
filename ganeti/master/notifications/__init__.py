# SPDX-License-Identifier: BSD-2-Clause
"""Delivery of events to webhooks and by mail; read ``notifier`` first, then ``delivery``."""
