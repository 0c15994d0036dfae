# SPDX-License-Identifier: BSD-2-Clause
"""The CD drives of a guest, and which images are put into them while it runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ganeti.model.parameters.kvm import CD_IMAGES, Kvm


@dataclass(frozen=True)
class CdDrive:
    """A drive of a guest by its name in QEMU, with the parameter that has its image, if any."""

    name: str
    parameter: str
    image: str


def cd_drives(kvm: Kvm, empty: Collection[str] = ()) -> Iterator[CdDrive]:
    """Yield the drives of a guest: of the parameters with an image, and of those in ``empty``."""
    images = [(name, getattr(kvm, name)) for name in CD_IMAGES]
    drives = [(name, image) for name, image in images if image or name in empty]
    for index, (name, image) in enumerate(drives):
        yield CdDrive(f"cdrom{index}", name, image)


def changed_drives(started: Kvm, configured: Kvm, empty: Collection[str] = ()) -> Iterator[CdDrive]:
    """Yield the drives of a running guest with the images that are configured now, if others.

    A drive without an image becomes empty. A drive cannot be added or removed while the guest runs.
    """
    for drive in cd_drives(started, empty):
        image = getattr(configured, drive.parameter)
        if image != drive.image:
            yield CdDrive(drive.name, drive.parameter, image)
