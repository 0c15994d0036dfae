# SPDX-License-Identifier: BSD-2-Clause
"""Operations that create instances; read ``instance_spec``, then ``create``."""
