# SPDX-License-Identifier: BSD-2-Clause
"""Metrics of the cluster: ``family`` collects them, ``exposition`` formats them for scraping."""
