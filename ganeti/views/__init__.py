# SPDX-License-Identifier: BSD-2-Clause
"""The fields of each kind of object; read ``snapshot`` first, then ``instances``.

Each module has the table of fields of one kind and builds its rows; ``json_rows`` encodes the lists
of the remote API.
"""
