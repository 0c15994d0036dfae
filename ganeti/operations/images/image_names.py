# SPDX-License-Identifier: BSD-2-Clause
"""The images of instances: names in parameters of the OS definition ``image``, and digests.

The master resolves a name when a job runs, and records the digest with the instance: a later image
of the same name is not the one that the instance was installed from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ganeti.config.changes.images import find_image
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.images import IMAGE_OS, LibraryImage, is_image_name
from ganeti.model.instance import Instance
from ganeti.schema.types import Parameters, Value

_IMAGE, _CHECKSUM = "image", "checksum"
_MIB = 1 << 20


def is_image_os(os: str) -> bool:
    """Return whether an OS, with or without a variant, is the definition that installs images."""
    return os.partition("+")[0] == IMAGE_OS


def named_image(os: str, osparams: Mapping[str, Value]) -> str | None:
    """Return the name of the image of the library that these parameters have, or None."""
    name = osparams.get(_IMAGE)
    return name if is_image_os(os) and is_image_name(name) else None


def resolve_name(
    os: str, given: Parameters, filled: Mapping[str, Value], state: ClusterState
) -> Parameters:
    """Return the parameters ``given`` with the digest of the image that they name.

    ``filled`` are the parameters with the defaults of the cluster, which may name the image as
    well. Without an image of the library, ``given`` is returned.

    :raises Refused: there is no image with this name, or it has another digest than is given.
    """
    name = named_image(os, filled)
    if name is None:
        return given
    image = find_image(state, name)
    checksum = given.get(_CHECKSUM)
    if checksum and checksum not in (image.digest, image.checksum):
        raise Refused(
            f"image {name} has the digest {image.digest}, not {checksum}; leave out the checksum,"
            " which the library has",
            Code.INPUT,
        )
    return {**given, _IMAGE: name, _CHECKSUM: image.digest}


def merge_changes(os: str, before: Parameters, given: Parameters, merged: Parameters) -> Parameters:
    """Return the parameters of an instance after ``given`` was merged into those ``before``.

    The digest of an image is that of its name, and goes when another image is given without one.
    """
    if _IMAGE in given and _CHECKSUM not in given and named_image(os, before) is not None:
        return {name: value for name, value in merged.items() if name != _CHECKSUM}
    return merged


def recorded_image(
    instance: Instance, filled: Mapping[str, Value], state: ClusterState
) -> LibraryImage | None:
    """Return the image that an instance with these parameters is reinstalled from.

    It is the one with the recorded digest, also under another name; None if its image is not one of
    the library.

    :raises Refused: the library has it no more; the message says what it has under that name.
    """
    name = named_image(instance.os, filled)
    if name is None:
        return None
    digest = filled.get(_CHECKSUM)
    if not digest:
        return find_image(state, name)
    found = sorted(
        (each for each in state.images.values() if each.digest == digest),
        key=lambda each: (each.name != name, each.name),
    )
    if found:
        return found[0]
    now = state.images.get(name)
    has = (
        "is not in the library any more; see gnt-os image list"
        if now is None
        else f"has the digest {now.digest} now"
    )
    raise Refused(
        f"instance {instance.name} was installed from image {name} with the digest {digest}, and"
        f" {name} {has}; to install another image: gnt-instance modify -O image=NAME"
        f" {instance.name}, then reinstall it",
    )


def check_fits(
    instance: Instance, filled: Mapping[str, Value], disks: Sequence[int], state: ClusterState
) -> None:
    """Check that the first of these disks, in MiB, is large enough for an image of the library.

    :raises Refused: it is smaller, or there is none.
    """
    image = recorded_image(instance, filled, state)
    if image is None:
        return
    needed = -(-image.virtual_size // _MIB)
    if not disks:
        raise Refused(
            f"image {image.name} needs a disk of {needed} MiB; use another disk template than"
            " diskless",
            Code.INPUT,
        )
    if needed > disks[0]:
        raise Refused(
            f"image {image.name} needs {needed} MiB, and the first disk has {disks[0]} MiB; give a"
            " larger one",
            Code.INPUT,
        )


def installed_from(digest: str, state: ClusterState) -> Iterable[str]:
    """Yield the names of the instances whose recorded image of the library has this digest."""
    for instance in state.instances.values():
        if instance.osparams.get(_CHECKSUM) == digest and named_image(
            instance.os, instance.osparams
        ):
            yield instance.name
