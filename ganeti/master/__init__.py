# SPDX-License-Identifier: BSD-2-Clause
"""What the master daemon is made of: LUXI requests become calls; see ``answers`` first."""
