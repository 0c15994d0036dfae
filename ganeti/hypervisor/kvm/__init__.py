# SPDX-License-Identifier: BSD-2-Clause
"""KVM guests: ``qemu_command`` builds the QEMU command line, ``driver`` runs it, ``monitor`` speaks
QMP."""
