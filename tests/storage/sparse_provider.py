# SPDX-License-Identifier: BSD-2-Clause
"""A small real provider of external storage: sparse files, attached as loop devices if possible."""

from __future__ import annotations

import os
from pathlib import Path

SCRIPTS = (
    *("attach", "close", "create", "detach", "grow", "open", "remove", "setinfo", "snapshot"),
    "verify",
)

_SCRIPT = """#!/bin/sh
set -e
store={store} room={room} loop={loop}
image="$store/$VOL_NAME"
used() {{ # the MiB of all volumes but this one
    total=0
    for each in "$store"/*.img; do
        [ -e "$each" ] && [ "$each" != "$image.img" ] &&
            total=$((total + $(stat -c %s "$each") / 1048576)) || :
    done
    echo $total
}}
fits() {{ [ $(($(used) + $1)) -le $room ] || {{ echo "no space left in $store" >&2; exit 1; }}; }}
there() {{ [ -e "$image.img" ] || {{ echo "no volume $VOL_NAME in $store" >&2; exit 1; }}; }}
device() {{ losetup -n -O NAME -j "$image.img" | head -n 1; }}
case "${{0##*/}}" in
verify)
    [ "$1" = parameters ] || exit 2
    case "$EXTP_POOL" in *bad*) echo "no pool $EXTP_POOL" >&2; exit 1 ;; esac ;;
create)
    [ ! -e "$image.img" ] || {{ echo "$VOL_NAME exists" >&2; exit 1; }}
    fits "$VOL_SIZE"
    truncate -s "${{VOL_SIZE}}M" "$image.img" ;;
grow) there; fits "$VOL_NEW_SIZE"; truncate -s "${{VOL_NEW_SIZE}}M" "$image.img"
    [ $loop = no ] || [ -z "$(device)" ] || losetup -c "$(device)" ;;
attach)
    there
    if [ $loop = no ]; then echo "$image.img"; exit 0; fi
    [ -n "$(device)" ] || losetup -f "$image.img"
    device ;;
detach) [ $loop = no ] || [ ! -e "$image.img" ] || [ -z "$(device)" ] || losetup -d "$(device)" ;;
remove) rm -f "$image.img" "$image.info" ;;
setinfo) there; echo "$VOL_METADATA" > "$image.info" ;;
snapshot) there; cp --sparse=always "$image.img" "$store/$VOL_SNAPSHOT_NAME.img" ;;
open | close) there ;;
esac
"""


def install_provider(folder: Path, store: Path, *, loop: bool, room: int = 1024) -> None:
    """Install the provider in ``folder``; its volumes are in ``store``, of ``room`` MiB in all."""
    folder.mkdir(parents=True)
    store.mkdir(parents=True, exist_ok=True)
    text = _SCRIPT.format(store=store, room=room, loop="yes" if loop else "no")
    for name in SCRIPTS:
        (folder / name).write_text(text)
        os.chmod(folder / name, 0o755)
    (folder / "parameters.list").write_text("pool The pool to create the volume in.\n")
