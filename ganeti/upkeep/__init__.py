# SPDX-License-Identifier: BSD-2-Clause
"""Periodic maintenance of a node by cron or a timer: ``watcher`` repairs, ``cleaner`` cleans up.

Plain blocking code without Twisted; ``repairs`` makes the decisions.
"""
