# SPDX-License-Identifier: BSD-2-Clause
"""Rebalancing and capacity, as pure functions over plain values.

Read ``cluster_model`` (the input), ``score`` (what is weighed, and why), ``layout``, ``balance``
and ``capacity`` in this order. ``solver`` is the program that the master runs, so that a search
delays no request. ``doc/balancing.md`` is for administrators.
"""
