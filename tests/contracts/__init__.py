# SPDX-License-Identifier: BSD-2-Clause
"""What every implementation of an interface does, once per interface."""
