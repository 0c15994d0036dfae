# SPDX-License-Identifier: BSD-2-Clause
"""A daemon as a process: options, pid file, log, signals, services. Read ``service`` first."""
