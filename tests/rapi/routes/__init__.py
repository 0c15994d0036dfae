# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the routes of the remote API."""
