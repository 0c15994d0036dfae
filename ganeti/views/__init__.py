# SPDX-License-Identifier: BSD-2-Clause
"""What each kind of object shows; ``moment`` first, then ``instances``.

Every module has a table of fields and makes its rows; ``objects`` makes the remote API's lists.
"""
