# SPDX-License-Identifier: BSD-2-Clause
"""Where an instance goes, and why not elsewhere: ``request``, ``scoring``, ``external``."""
