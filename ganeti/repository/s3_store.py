# SPDX-License-Identifier: BSD-2-Clause
"""Objects in a bucket of an S3-compatible store; everything here blocks.

An object is written by one request, which the store accepts whole, by its digest, or not at all: no
upload in parts has to be cleaned up. What was accepted is durable.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit
from xml.etree import ElementTree

from zope.interface import implementer

from ganeti.errors import Code, Failed, Refused
from ganeti.model.backups import RepositoryAccess, split_bucket
from ganeti.repository.interfaces import IObjectStore, StoreSpace
from ganeti.repository.s3_client import S3Client, S3Failed, make_connector
from ganeti.repository.s3_signature import S3Credentials, encode_path
from ganeti.system.cancellation import CancelSwitch

_FEW = 20
"""So many objects are asked for one by one; for more, a list of all is shorter."""


@implementer(IObjectStore)
class S3Store:
    """The objects whose keys begin with ``prefix``, which is empty or ends with a slash."""

    threads = 8
    """Most of the time of a request is that of the network."""

    def __init__(self, client: S3Client, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self.place = f"s3://{bucket}/{prefix}".rstrip("/")

    def prepare(self, folders: Iterable[str]) -> None:
        if next(self._list(self._prefix), None) is not None:
            raise Refused(f"{self.place} is not empty; choose another prefix or bucket", Code.INPUT)

    def has_object(self, name: str) -> bool:
        try:
            self._client.ask("HEAD", self._prefix + name)
        except FileNotFoundError:
            return False
        return True

    def has_objects(self, names: Sequence[str]) -> bool:
        if len(names) <= _FEW:
            return all(map(self.has_object, names))
        missing = set(names)
        for folder in sorted({name.partition("/")[0] for name in names}):
            missing.difference_update(name for name, _ in self.list_objects(folder))
        return not missing

    def read_object(self, name: str, length: int | None = None) -> bytes:
        headers = {} if length is None else {"range": f"bytes=0-{length - 1}"}
        return self._client.ask("GET", self._prefix + name, headers=headers).body[:length]

    def write_object(self, name: str, content: bytes) -> None:
        self._client.ask("PUT", self._prefix + name, body=content)

    def rename_object(self, name: str, new: str) -> None:
        source = encode_path(f"/{self._bucket}/{self._prefix}{name}")
        try:
            self._client.ask("PUT", self._prefix + new, headers={"x-amz-copy-source": source})
        except FileNotFoundError:
            return
        self.remove_object(name)

    def remove_object(self, name: str) -> None:
        try:
            self._client.ask("DELETE", self._prefix + name)
        except FileNotFoundError:
            return

    def list_objects(self, folder: str) -> Iterator[tuple[str, int]]:
        for key, size in self._list(f"{self._prefix}{folder}/"):
            yield key.removeprefix(self._prefix), size

    def _list(self, prefix: str) -> Iterator[tuple[str, int]]:
        query = {"list-type": "2", "prefix": prefix}
        while True:
            answer = self._client.ask("GET", query=query)
            try:
                page = ElementTree.fromstring(answer.body)
                found = [
                    (each.findtext("{*}Key") or "", int(each.findtext("{*}Size") or 0))
                    for each in page.iterfind("{*}Contents")
                ]
            except (ElementTree.ParseError, ValueError) as e:
                raise S3Failed(f"the list of {self.place} cannot be read: {e}") from None
            yield from found
            token = page.findtext("{*}NextContinuationToken")
            if page.findtext("{*}IsTruncated") != "true" or not token:
                return
            query["continuation-token"] = token

    def sync_folder(self, folder: str) -> None:
        """Nothing is left to do: what the store has accepted is durable."""

    def remove_unfinished(self) -> None:
        """Nothing is left of a request that was interrupted."""

    def measure_store(self) -> StoreSpace | None:
        return None

    def close(self) -> None:
        self._client.close()


def connect_store(access: RepositoryAccess, switch: CancelSwitch) -> IObjectStore:
    """Return the store of a repository; it connects when it is used."""
    settings = access.s3
    if settings is None:
        raise Failed(f"repository {access.name} has no credentials for {access.path}", Code.STATE)
    bucket, prefix = split_bucket(access.path)
    client = S3Client(
        bucket,
        urlsplit(settings.endpoint).netloc,
        S3Credentials(settings.access_key, settings.secret_key, settings.region),
        make_connector(settings.endpoint, switch),
        time.time,
        switch.sleep,
    )
    return S3Store(client, bucket, prefix)
