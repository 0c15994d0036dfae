# SPDX-License-Identifier: BSD-2-Clause
"""The volume from which a guest configures itself at its first boot, as cloud-init reads it.

The format is that of cloud-init's data source NoCloud: an ISO 9660 file system with the label
``cidata`` and the files ``meta-data``, ``user-data`` and, optionally, ``network-config``.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

from ganeti.errors import Code, Failed

LABEL = "cidata"
MAX_SIZE = 1 << 20
"""The most bytes that the files may have together; cloud-init's users get by with some KiB."""


def build_seed_volume(files: Mapping[str, bytes]) -> bytes:
    """Return the image of a volume with ``files``, contents by name.

    :raises Failed: they are too large together.
    """
    # Takes 12 MiB, and most nodes have no guest that needs it.
    from pycdlib import PyCdlib

    size = sum(map(len, files.values()))
    if size > MAX_SIZE:
        raise Failed(
            f"the data for the first boot has {size} bytes; at most {MAX_SIZE} are possible",
            Code.STATE,
        )
    volume = PyCdlib()
    # Rock Ridge and Joliet have the names as they are; ISO 9660 itself allows no hyphens.
    volume.new(interchange_level=3, vol_ident=LABEL, rock_ridge="1.09", joliet=3)
    for number, (name, content) in enumerate(sorted(files.items())):
        volume.add_fp(
            io.BytesIO(content),
            len(content),
            iso_path=f"/SEED{number}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
        )
    image = io.BytesIO()
    volume.write_fp(image)
    volume.close()
    return image.getvalue()
