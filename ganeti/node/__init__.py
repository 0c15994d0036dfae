# SPDX-License-Identifier: BSD-2-Clause
"""What a node does when it is asked: read ``answers``, the list of calls and who answers them."""
