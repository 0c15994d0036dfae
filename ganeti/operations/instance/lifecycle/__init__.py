# SPDX-License-Identifier: BSD-2-Clause
"""Operations that start, stop, rename, reinstall, remove or describe an instance."""
