# SPDX-License-Identifier: BSD-2-Clause
"""What a node keeps disks in: read ``interfaces`` first; ``drivers`` says what serves which."""
