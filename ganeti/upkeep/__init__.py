# SPDX-License-Identifier: BSD-2-Clause
"""What cron or a timer does on each node: ``watcher`` sets things right, ``cleaner`` tidies up.

Plain blocking code without Twisted; ``repairs`` decides.
"""
