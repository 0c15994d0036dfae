# SPDX-License-Identifier: BSD-2-Clause
"""What starts, stops and moves guests: read ``interfaces``, then ``fake``, then the package kvm."""
