# SPDX-License-Identifier: BSD-2-Clause
"""The daemons and cron programs; the only package that builds real objects.

Each program is a module here. What a daemon does is built by the function ``start`` of its package
(``master_services``, ``node_services``, ``rapi_services``). Read ``process.service`` first.
"""
