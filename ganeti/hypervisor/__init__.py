# SPDX-License-Identifier: BSD-2-Clause
"""Drivers of hypervisors. Read ``interfaces`` first, then ``fake``, then ``kvm``."""
