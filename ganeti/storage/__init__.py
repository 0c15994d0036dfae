# SPDX-License-Identifier: BSD-2-Clause
"""Storage drivers of a node. Read ``interfaces`` first; ``drivers`` maps disk templates to
drivers."""
