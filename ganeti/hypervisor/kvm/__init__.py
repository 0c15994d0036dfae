# SPDX-License-Identifier: BSD-2-Clause
"""Guests run by QEMU: ``command`` says how, ``driver`` does it; ``qmp`` and ``control`` talk."""
