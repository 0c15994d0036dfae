# SPDX-License-Identifier: BSD-2-Clause
"""The library of images; ``library`` has its operations, ``copies`` how nodes get a copy."""
