# SPDX-License-Identifier: BSD-2-Clause
"""Command lines of ``drbdsetup`` and ``drbdmeta`` for DRBD 8.4; nothing is run here."""

from __future__ import annotations

from ganeti.model.mirror import MirrorEnds
from ganeti.schema.shell import split_shell_words
from ganeti.schema.types import Parameters

Command = tuple[str, ...]

INDEXED_METADATA = 128
"""The size of an indexed metadata slot, in MiB; a smaller metadata volume is used as a whole."""

# The parameter names what to switch off, and DRBD's options what is used: hence each "=no".
_BARRIERS = {"b": "--disk-barrier=no", "f": "--disk-flushes=no", "d": "--disk-drain=no"}
_HMAC_ALGORITHM = "md5"


def resource(minor: int) -> str:
    """Return the name of the resource of a minor."""
    return f"resource{minor}"


def create_metadata(minor: int, meta: str, size: int) -> Command:
    slot = "0" if size >= INDEXED_METADATA else "flex-external"
    # Only the volume is written to, but drbdmeta refuses if the device of this number has a disk,
    # even if it is another one: so it is the disk's own.
    return ("drbdmeta", "--force", str(minor), "v08", meta, slot, "create-md")


def apply_activity_log(minor: int, meta: str, size: int) -> Command:
    """Return the command to run before each attach: after a power failure, the kernel otherwise
    rejects the metadata."""
    slot = "0" if size >= INDEXED_METADATA else "flex-external"
    return ("drbdmeta", str(minor), "v08", meta, slot, "apply-al")


def new_resource(minor: int) -> Command:
    return ("drbdsetup", "new-resource", resource(minor))


def new_minor(minor: int) -> Command:
    return ("drbdsetup", "new-minor", resource(minor), str(minor), "0")


def attach(
    minor: int, data: str, meta: str, meta_size: int, size: int | None, params: Parameters
) -> Command:
    """Return the command that attaches a data and a metadata volume; ``size`` limits it, in MiB."""
    # The same layout is called flex-external by create-md and flexible by attach.
    slot = "0" if meta_size >= INDEXED_METADATA else "flexible"
    # On an I/O error of the local volume, the device goes on with the peer's copy, so that the
    # guest sees no error.
    options = ["--on-io-error=detach"]
    # The volumes of two nodes may be rounded up to different sizes; the limit makes both copies
    # equal.
    if size is not None:
        options.append(f"--size={size * 1024}k")
    options += [_BARRIERS[kind] for kind in str(params.get("disk-barriers", "n")) if kind != "n"]
    if params.get("meta-barriers"):
        options.append("--md-flushes=no")
    options += resync_options(params)
    options += split_shell_words(str(params.get("disk-custom", "")), "disk-custom")
    return ("drbdsetup", "attach", str(minor), data, meta, slot, *options)


def resync_options(params: Parameters) -> list[str]:
    """Return the resync options: a fixed rate, or the kernel's dynamic controller."""
    # A plan of 0 switches the kernel's controller off; with it, the fixed rate would be ignored.
    if not params.get("dynamic-resync"):
        return ["--c-plan-ahead=0", f"--resync-rate={params.get('resync-rate', 61440)}"]
    names = ("c-plan-ahead", "c-fill-target", "c-delay-target", "c-max-rate", "c-min-rate")
    return [f"--{name}={params[name]}" for name in names if name in params]


def connect(minor: int, ends: MirrorEnds, params: Parameters, *, both: bool) -> Command:
    options = [
        f"--protocol={params.get('protocol', 'C')}",
        # After a split brain, DRBD may only decide where no write can be lost: if one side has
        # written nothing. Anything else stays disconnected, for an administrator.
        "--after-sb-0pri=discard-zero-changes",
        "--after-sb-1pri=consensus",
        f"--cram-hmac-alg={_HMAC_ALGORITHM}",
        f"--shared-secret={ends.secret}",
        # Only for a live migration: with two primaries, a second guest could write to the same
        # disk.
        *(["--allow-two-primaries"] if both else []),
        # Last, so that an administrator's options override those before.
        *split_shell_words(str(params.get("net-custom", "")), "net-custom"),
    ]
    return ("drbdsetup", "connect", resource(minor), *addresses(ends), *options)


def disconnect(ends: MirrorEnds) -> Command:
    return ("drbdsetup", "disconnect", *addresses(ends))


def net_options(ends: MirrorEnds, *, both: bool) -> Command:
    # An option that is not given keeps its value, so "no" must be explicit.
    allowed = "--allow-two-primaries" if both else "--allow-two-primaries=no"
    return ("drbdsetup", "net-options", *addresses(ends), allowed)


def primary(minor: int, *, force: bool = False) -> Command:
    # No copy of a new disk has current data, so only --force makes one primary.
    return ("drbdsetup", "primary", str(minor), *(["--force"] if force else []))


def secondary(minor: int) -> Command:
    return ("drbdsetup", "secondary", str(minor))


def detach(minor: int) -> Command:
    return ("drbdsetup", "detach", str(minor))


def resize(minor: int, size: int) -> Command:
    return ("drbdsetup", "resize", str(minor), f"--size={size * 1024}k")


def pause_sync(minor: int, *, paused: bool) -> Command:
    return ("drbdsetup", "pause-sync" if paused else "resume-sync", str(minor))


def down(minor: int) -> Command:
    return ("drbdsetup", "down", resource(minor))


def addresses(ends: MirrorEnds) -> tuple[str, str]:
    """Return the local and the peer's address in the syntax of drbdsetup."""
    return _address(ends.local_ip, ends.port), _address(ends.remote_ip, ends.port)


def _address(ip: str, port: object) -> str:
    return f"ipv6:[{ip}]:{port}" if ":" in ip else f"ipv4:{ip}:{port}"
