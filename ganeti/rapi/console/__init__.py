# SPDX-License-Identifier: BSD-2-Clause
"""The web console's files, served below ``/ui/``; read ``console_files`` first."""
