# SPDX-License-Identifier: BSD-2-Clause
"""A client of the remote API in a single module that needs only the standard library.

It can be copied to where it is needed. Methods that change something return a job ID;
``WaitForJobCompletion`` waits for the job. The names are those of Ganeti's own client.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

GANETI_RAPI_PORT = 5080
GANETI_RAPI_VERSION = 2

REPLACE_DISK_PRI = "replace_on_primary"
REPLACE_DISK_SECONDARY = "replace_on_secondary"
REPLACE_DISK_CHG = "replace_new_secondary"
REPLACE_DISK_AUTO = "replace_auto"

NODE_ROLE_DRAINED = "drained"
NODE_ROLE_MASTER = "master"
NODE_ROLE_MASTER_CANDIDATE = "master-candidate"
NODE_ROLE_OFFLINE = "offline"
NODE_ROLE_REGULAR = "regular"

NODE_EVAC_PRI = "primary-only"
NODE_EVAC_SEC = "secondary-only"
NODE_EVAC_ALL = "all"

JOB_STATUS_SUCCESS = "success"
JOB_STATUS_FINALIZED = frozenset((JOB_STATUS_SUCCESS, "canceled", "error"))

JobId = int
Object = dict[str, Any]
Answer = tuple[int, bytes]

Exchange = Callable[[str, str, Mapping[str, str], bytes], Answer]
"""Sends a request (method, path with query, headers, body) and returns status and body."""


class Error(Exception):
    """Base class of the errors of this module."""


class CertificateError(Error):
    """The certificate of the server could not be verified."""


class GanetiApiError(Error):
    """The server was not reachable or returned an error; ``code`` is the HTTP status, if any."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class Connection:
    """A persistent connection to a server, opened for the first request."""

    def __init__(
        self, host: str, port: int, *, context: ssl.SSLContext | None, timeout: float
    ) -> None:
        self._name = f"{host} port {port}"
        if context is None:
            self._connection = http.client.HTTPConnection(host, port, timeout=timeout)
        else:
            self._connection = http.client.HTTPSConnection(
                host, port, timeout=timeout, context=context
            )

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        fresh = self._connection.sock is None
        try:
            return self._exchange(method, path, headers, body)
        except ssl.SSLCertVerificationError as e:
            raise CertificateError(f"{self._name}: {e.verify_message}") from e
        except (http.client.HTTPException, OSError) as e:
            self._connection.close()
            # The server closes idle connections; only requests that change nothing are repeated.
            if fresh or method != "GET" or isinstance(e, TimeoutError):
                raise GanetiApiError(f"{self._name}: {e or type(e).__name__}") from e
        return self._retry(method, path, headers, body)

    def _retry(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            return self._exchange(method, path, headers, body)
        except (http.client.HTTPException, OSError) as e:
            self._connection.close()
            raise GanetiApiError(f"{self._name}: {e or type(e).__name__}") from e

    def _exchange(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if self._connection.sock is None:
            _connect(self._connection)
        self._connection.request(method, path, body=body or None, headers=dict(headers))
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        self._connection.close()


def _connect(connection: http.client.HTTPConnection) -> None:
    connection.connect()
    # Send small requests at once: Nagle's algorithm with delayed acknowledgements costs 40 ms each.
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class GanetiRapiClient:
    """The remote API of a cluster.

    The server's certificate is verified with ``context``; by default with the CAs of this host, or
    those in ``cafile``. Arguments that are None are not sent, so that the server's defaults apply.
    ``**more`` are further parameters of the opcode, by the server's names.
    """

    def __init__(
        self,
        host: str,
        port: int = GANETI_RAPI_PORT,
        username: str | None = None,
        password: str | None = None,
        *,
        cafile: str | None = None,
        context: ssl.SSLContext | None = None,
        tls: bool = True,
        timeout: float = 60.0,
        exchange: Exchange | None = None,
    ) -> None:
        if tls and context is None and exchange is None:
            context = ssl.create_default_context(cafile=cafile)
        self._exchange = exchange or Connection(
            host, port, context=context if tls else None, timeout=timeout
        )
        self._headers = {"Accept": "application/json"}
        if username is not None:
            login = base64.b64encode(f"{username}:{password or ''}".encode()).decode("ascii")
            self._headers["Authorization"] = f"Basic {login}"

    # --- requests

    def _request(
        self, method: str, path: str, query: Object | None = None, body: object = None
    ) -> Any:
        headers = dict(self._headers)
        content = b""
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        if said := _encode_query(query or {}):
            path = f"{path}?{said}"
        status, answer = self._exchange(method, path, headers, content)
        try:
            value = json.loads(answer) if answer else None
        except (ValueError, RecursionError):
            raise GanetiApiError(f"{method} {path}: the answer is not JSON", status) from None
        if status != 200:
            message = value.get("message") if isinstance(value, dict) else None
            raise GanetiApiError(str(message or f"{method} {path}: status {status}"), status)
        return value

    def _submit(
        self, method: str, path: str, query: Object | None = None, body: object = None
    ) -> JobId:
        number: JobId = self._request(method, path, query, body)
        return number

    # --- the cluster

    def GetVersion(self) -> int:
        """Return the version of the interface."""
        version: int = self._request("GET", "/version")
        return version

    def GetFeatures(self) -> list[str]:
        """Return the features of the server."""
        return _to_texts(self._request("GET", "/2/features"))

    def GetInfo(self, reason: str | None = None) -> Object:
        """Return information about the cluster."""
        return _to_object(self._request("GET", "/2/info"))

    def GetOperatingSystems(self, reason: str | None = None) -> list[str]:
        """Return the OS definitions that instances can be installed with."""
        return _to_texts(self._request("GET", "/2/os"))

    def RedistributeConfig(self, reason: str | None = None) -> JobId:
        """Distribute the configuration to all nodes."""
        return self._submit("PUT", "/2/redistribute-config", {"reason": reason})

    def ModifyCluster(self, reason: str | None = None, **more: object) -> JobId:
        """Change parameters of the cluster."""
        return self._submit("PUT", "/2/modify", {"reason": reason}, more)

    def GetClusterTags(self, reason: str | None = None) -> list[str]:
        """Return the tags of the cluster."""
        return self._get_tags("/2")

    def AddClusterTags(
        self, tags: Iterable[str], dry_run: bool = False, reason: str | None = None
    ) -> JobId:
        """Add tags to the cluster."""
        return self._change_tags("PUT", "/2", tags, dry_run, reason)

    def DeleteClusterTags(
        self, tags: Iterable[str], dry_run: bool = False, reason: str | None = None
    ) -> JobId:
        """Remove tags from the cluster."""
        return self._change_tags("DELETE", "/2", tags, dry_run, reason)

    def _get_tags(self, owner: str) -> list[str]:
        return _to_texts(self._request("GET", f"{owner}/tags"))

    def _change_tags(
        self, method: str, owner: str, tags: Iterable[str], dry_run: bool, reason: str | None
    ) -> JobId:
        said = {"tag": list(tags), "dry-run": dry_run or None, "reason": reason}
        return self._submit(method, f"{owner}/tags", said)

    # --- instances

    def GetInstances(self, bulk: bool = False, reason: str | None = None) -> list[object]:
        """Return the names of all instances, or their details with ``bulk``."""
        return self._list("/2/instances", bulk, "id")

    def GetInstance(self, instance: str, reason: str | None = None) -> Object:
        """Return the details of an instance."""
        return _to_object(self._request("GET", _path("instances", instance)))

    def GetInstanceInfo(
        self, instance: str, static: bool | None = None, reason: str | None = None
    ) -> JobId:
        """Submit a job whose result has all details of an instance."""
        said = {"static": static, "reason": reason}
        return self._submit("GET", _path("instances", instance, "info"), said)

    def CreateInstance(
        self,
        mode: str,
        name: str,
        disk_template: str | None,
        disks: Sequence[Mapping[str, object]],
        nics: Sequence[Mapping[str, object]],
        reason: str | None = None,
        dry_run: bool = False,
        **more: object,
    ) -> JobId:
        """Create an instance: empty, from an export, or from another cluster, by ``mode``."""
        wanted = self.InstanceAllocation(mode, name, disk_template, disks, nics, **more)
        body = {"__version__": 1, **wanted}
        return self._submit("POST", "/2/instances", _job_parameters(dry_run, reason), body)

    def InstanceAllocation(
        self,
        mode: str,
        name: str,
        disk_template: str | None,
        disks: Sequence[Mapping[str, object]],
        nics: Sequence[Mapping[str, object]],
        **more: object,
    ) -> Object:
        """Return an item for the argument of ``InstancesMultiAlloc``; sends no request."""
        return {
            "mode": mode,
            "name": name,
            "disk_template": disk_template,
            "disks": disks,
            "nics": nics,
            **more,
        }

    def InstancesMultiAlloc(
        self,
        instances: Sequence[Mapping[str, object]],
        reason: str | None = None,
        dry_run: bool = False,
        **more: object,
    ) -> JobId:
        """Create several instances, placed by an instance allocator."""
        body = {"instances": instances, **more}
        return self._submit(
            "POST", "/2/instances-multi-alloc", _job_parameters(dry_run, reason), body
        )

    def DeleteInstance(
        self, instance: str, dry_run: bool = False, reason: str | None = None, **more: object
    ) -> JobId:
        """Remove an instance and its disks."""
        return self._submit(
            "DELETE", _path("instances", instance), _job_parameters(dry_run, reason), more or None
        )

    def ModifyInstance(self, instance: str, reason: str | None = None, **more: object) -> JobId:
        """Change parameters, disks or network cards of an instance."""
        return self._submit("PUT", _path("instances", instance, "modify"), {"reason": reason}, more)

    def RebootInstance(
        self,
        instance: str,
        reboot_type: str | None = None,
        ignore_secondaries: bool | None = None,
        dry_run: bool = False,
        reason: str | None = None,
        **more: object,
    ) -> JobId:
        """Reboot an instance; the type is soft, hard or full."""
        said = {"type": reboot_type, "ignore_secondaries": ignore_secondaries}
        path = _path("instances", instance, "reboot")
        return self._submit(
            "POST", path, {**said, **_job_parameters(dry_run, reason)}, more or None
        )

    def ShutdownInstance(
        self,
        instance: str,
        dry_run: bool = False,
        no_remember: bool = False,
        reason: str | None = None,
        **more: object,
    ) -> JobId:
        """Shut down an instance."""
        said = {"no_remember": no_remember or None, **_job_parameters(dry_run, reason)}
        return self._submit("PUT", _path("instances", instance, "shutdown"), said, more or None)

    def StartupInstance(
        self,
        instance: str,
        dry_run: bool = False,
        no_remember: bool = False,
        reason: str | None = None,
        force: bool | None = None,
    ) -> JobId:
        """Start an instance."""
        said = {
            "no_remember": no_remember or None,
            "force": force,
            **_job_parameters(dry_run, reason),
        }
        return self._submit("PUT", _path("instances", instance, "startup"), said)

    def ReinstallInstance(
        self,
        instance: str,
        os: str | None = None,
        no_startup: bool = False,
        osparams: Mapping[str, object] | None = None,
        reason: str | None = None,
    ) -> JobId:
        """Reinstall the operating system of an instance."""
        body = _without_none(os=os, start=not no_startup, osparams=osparams)
        return self._submit(
            "POST", _path("instances", instance, "reinstall"), _reason_parameter(reason), body
        )

    def ReplaceInstanceDisks(
        self,
        instance: str,
        disks: Sequence[int] | None = None,
        mode: str = REPLACE_DISK_AUTO,
        remote_node: str | None = None,
        iallocator: str | None = None,
        reason: str | None = None,
        early_release: bool | None = None,
    ) -> JobId:
        """Replace the disks on one side of a DRBD instance."""
        body = _without_none(
            mode=mode,
            disks=disks,
            remote_node=remote_node,
            iallocator=iallocator,
            early_release=early_release,
        )
        return self._submit(
            "POST", _path("instances", instance, "replace-disks"), _reason_parameter(reason), body
        )

    def ActivateInstanceDisks(
        self, instance: str, ignore_size: bool | None = None, reason: str | None = None
    ) -> JobId:
        """Activate the disks of an instance on its nodes."""
        said = {"ignore_size": ignore_size, "reason": reason}
        return self._submit("PUT", _path("instances", instance, "activate-disks"), said)

    def DeactivateInstanceDisks(
        self, instance: str, reason: str | None = None, force: bool | None = None
    ) -> JobId:
        """Deactivate the disks of a stopped instance."""
        said = {"force": force, "reason": reason}
        return self._submit("PUT", _path("instances", instance, "deactivate-disks"), said)

    def RecreateInstanceDisks(
        self,
        instance: str,
        disks: Sequence[object] | None = None,
        nodes: Sequence[str] | None = None,
        reason: str | None = None,
        iallocator: str | None = None,
    ) -> JobId:
        """Recreate the disks of an instance, without their data."""
        body = _without_none(disks=disks, nodes=nodes, iallocator=iallocator)
        return self._submit(
            "POST", _path("instances", instance, "recreate-disks"), _reason_parameter(reason), body
        )

    def GrowInstanceDisk(
        self,
        instance: str,
        disk: int,
        amount: int,
        wait_for_sync: bool | None = None,
        reason: str | None = None,
    ) -> JobId:
        """Grow a disk by ``amount`` MiB."""
        body = _without_none(amount=amount, wait_for_sync=wait_for_sync)
        path = _path("instances", instance, "disk", str(disk), "grow")
        return self._submit("POST", path, _reason_parameter(reason), body)

    def PrepareExport(self, instance: str, mode: str, reason: str | None = None) -> JobId:
        """Prepare the export of an instance."""
        said = {"mode": mode, "reason": reason}
        return self._submit("PUT", _path("instances", instance, "prepare-export"), said)

    def ExportInstance(
        self,
        instance: str,
        mode: str,
        destination: object,
        shutdown: bool | None = None,
        remove_instance: bool | None = None,
        x509_key_name: Sequence[object] | None = None,
        destination_x509_ca: str | None = None,
        compress: str | None = None,
        reason: str | None = None,
    ) -> JobId:
        """Export an instance to a node, or to another cluster."""
        body = _without_none(
            mode=mode,
            destination=destination,
            shutdown=shutdown,
            remove_instance=remove_instance,
            x509_key_name=x509_key_name,
            destination_x509_ca=destination_x509_ca,
            compress=compress,
        )
        return self._submit(
            "PUT", _path("instances", instance, "export"), _reason_parameter(reason), body
        )

    def MigrateInstance(
        self,
        instance: str,
        mode: str | None = None,
        cleanup: bool | None = None,
        target_node: str | None = None,
        reason: str | None = None,
        **more: object,
    ) -> JobId:
        """Migrate an instance to its secondary node, or to another node."""
        body = _without_none(mode=mode, cleanup=cleanup, target_node=target_node, **more)
        return self._submit(
            "PUT", _path("instances", instance, "migrate"), _reason_parameter(reason), body
        )

    def FailoverInstance(
        self,
        instance: str,
        iallocator: str | None = None,
        ignore_consistency: bool | None = None,
        target_node: str | None = None,
        reason: str | None = None,
        **more: object,
    ) -> JobId:
        """Fail over an instance to its secondary node, or to another node."""
        body = _without_none(
            iallocator=iallocator,
            ignore_consistency=ignore_consistency,
            target_node=target_node,
            **more,
        )
        return self._submit(
            "PUT", _path("instances", instance, "failover"), _reason_parameter(reason), body
        )

    def RenameInstance(
        self,
        instance: str,
        new_name: str,
        ip_check: bool | None = None,
        name_check: bool | None = None,
        reason: str | None = None,
    ) -> JobId:
        """Rename an instance."""
        body = _without_none(new_name=new_name, ip_check=ip_check, name_check=name_check)
        return self._submit(
            "PUT", _path("instances", instance, "rename"), _reason_parameter(reason), body
        )

    def GetInstanceConsole(self, instance: str, reason: str | None = None) -> Object:
        """Return how to connect to the console of a running instance."""
        return _to_object(self._request("GET", _path("instances", instance, "console")))

    def GetInstanceTags(self, instance: str, reason: str | None = None) -> list[str]:
        """Return the tags of an instance."""
        return self._get_tags(_path("instances", instance))

    def AddInstanceTags(
        self, instance: str, tags: Iterable[str], dry_run: bool = False, reason: str | None = None
    ) -> JobId:
        """Add tags to an instance."""
        return self._change_tags("PUT", _path("instances", instance), tags, dry_run, reason)

    def DeleteInstanceTags(
        self, instance: str, tags: Iterable[str], dry_run: bool = False, reason: str | None = None
    ) -> JobId:
        """Remove tags from an instance."""
        return self._change_tags("DELETE", _path("instances", instance), tags, dry_run, reason)

    # --- jobs

    def GetJobs(self, bulk: bool = False) -> list[Any]:
        """Return the IDs of all jobs, or their details with ``bulk``."""
        found = self._list("/2/jobs", bulk, "id")
        return found if bulk else [int(number) for number in found]

    def GetJobStatus(self, job_id: JobId) -> Object:
        """Return the details of a job."""
        return _to_object(self._request("GET", f"/2/jobs/{int(job_id)}"))

    def WaitForJobCompletion(
        self,
        job_id: JobId,
        period: float = 5.0,
        retries: int = -1,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> bool:
        """Poll a job every ``period`` seconds until it has ended; return whether it succeeded.

        With ``retries``, stop after that many polls and return False.
        """
        while retries != 0:
            status = _field(self.GetJobStatus(job_id), "status")
            if status in JOB_STATUS_FINALIZED:
                return bool(status == JOB_STATUS_SUCCESS)
            retries -= 1
            if retries != 0:
                sleep(period)
        return False

    def WaitForJobChange(
        self,
        job_id: JobId,
        fields: Sequence[str],
        prev_job_info: Sequence[object] | None = None,
        prev_log_serial: int | None = None,
    ) -> Object | None:
        """Wait some seconds for a change of a job; return ``job_info`` and ``log_entries``, or
        None."""
        body = {
            "fields": fields,
            "previous_job_info": prev_job_info,
            "previous_log_serial": prev_log_serial,
        }
        answer = self._request("GET", f"/2/jobs/{int(job_id)}/wait", None, body)
        return None if answer is None else _to_object(answer)

    def CancelJob(self, job_id: JobId, dry_run: bool = False) -> list[Any]:
        """Cancel a job; return whether that succeeded, and a message."""
        return _to_list(self._request("DELETE", f"/2/jobs/{int(job_id)}"))

    # --- nodes

    def GetNodes(self, bulk: bool = False, reason: str | None = None) -> list[object]:
        """Return the names of all nodes, or their details with ``bulk``."""
        return self._list("/2/nodes", bulk, "id")

    def GetNode(self, node: str, reason: str | None = None) -> Object:
        """Return the details of a node."""
        return _to_object(self._request("GET", _path("nodes", node)))

    def EvacuateNode(
        self,
        node: str,
        iallocator: str | None = None,
        remote_node: str | None = None,
        dry_run: bool = False,
        early_release: bool | None = None,
        mode: str | None = None,
        accept_old: bool = False,
        reason: str | None = None,
    ) -> JobId:
        """Submit a job that submits the jobs that evacuate a node; its result lists them."""
        body = _without_none(
            iallocator=iallocator, remote_node=remote_node, early_release=early_release, mode=mode
        )
        return self._submit(
            "POST", _path("nodes", node, "evacuate"), _job_parameters(dry_run, reason), body
        )

    def MigrateNode(
        self,
        node: str,
        mode: str | None = None,
        dry_run: bool = False,
        iallocator: str | None = None,
        target_node: str | None = None,
        reason: str | None = None,
    ) -> JobId:
        """Submit a job that submits the jobs that migrate all primary instances of a node."""
        body = _without_none(mode=mode, iallocator=iallocator, target_node=target_node)
        return self._submit(
            "POST", _path("nodes", node, "migrate"), _job_parameters(dry_run, reason), body
        )

    def GetNodeRole(self, node: str, reason: str | None = None) -> str:
        """Return the role of a node."""
        return str(self._request("GET", _path("nodes", node, "role")))

    def SetNodeRole(
        self,
        node: str,
        role: str,
        force: bool = False,
        auto_promote: bool | None = None,
        reason: str | None = None,
    ) -> JobId:
        """Set the role of a node."""
        said = {"force": force or None, "auto-promote": auto_promote, "reason": reason}
        return self._submit("PUT", _path("nodes", node, "role"), said, role)

    def PowercycleNode(self, node: str, force: bool = False, reason: str | None = None) -> JobId:
        """Power-cycle a node."""
        said = {"force": force or None, "reason": reason}
        return self._submit("POST", _path("nodes", node, "powercycle"), said)

    def ModifyNode(self, node: str, reason: str | None = None, **more: object) -> JobId:
        """Change parameters of a node."""
        return self._submit("POST", _path("nodes", node, "modify"), _reason_parameter(reason), more)

    def GetNodeStorageUnits(
        self,
        node: str,
        storage_type: str,
        output_fields: str | Iterable[str],
        reason: str | None = None,
    ) -> JobId:
        """Submit a job whose result lists the storage units of a node."""
        fields = output_fields if isinstance(output_fields, str) else ",".join(output_fields)
        said = {"storage_type": storage_type, "output_fields": fields, "reason": reason}
        return self._submit("GET", _path("nodes", node, "storage"), said)

    def ModifyNodeStorageUnits(
        self,
        node: str,
        storage_type: str,
        name: str,
        allocatable: bool | None = None,
        reason: str | None = None,
    ) -> JobId:
        """Change a storage unit of a node."""
        said = {"storage_type": storage_type, "name": name, "allocatable": allocatable}
        return self._submit(
            "PUT", _path("nodes", node, "storage", "modify"), said | _reason_parameter(reason)
        )

    def RepairNodeStorageUnits(
        self, node: str, storage_type: str, name: str, reason: str | None = None
    ) -> JobId:
        """Repair a storage unit of a node."""
        said = {"storage_type": storage_type, "name": name, "reason": reason}
        return self._submit("PUT", _path("nodes", node, "storage", "repair"), said)

    def GetNodeTags(self, node: str, reason: str | None = None) -> list[str]:
        """Return the tags of a node."""
        return self._get_tags(_path("nodes", node))

    def AddNodeTags(
        self, node: str, tags: Iterable[str], dry_run: bool = False, reason: str | None = None
    ) -> JobId:
        """Add tags to a node."""
        return self._change_tags("PUT", _path("nodes", node), tags, dry_run, reason)

    def DeleteNodeTags(
        self, node: str, tags: Iterable[str], dry_run: bool = False, reason: str | None = None
    ) -> JobId:
        """Remove tags from a node."""
        return self._change_tags("DELETE", _path("nodes", node), tags, dry_run, reason)

    # --- images

    def GetImages(self, bulk: bool = False, reason: str | None = None) -> list[object]:
        """Return the names of all images, or their details with ``bulk``."""
        return self._list("/2/images", bulk, "name")

    def GetImage(self, image: str, reason: str | None = None) -> Object:
        """Return the details of an image."""
        return _to_object(self._request("GET", _path("images", image)))

    def AddImage(
        self,
        image: str,
        url: str,
        checksum: str | None = None,
        dry_run: bool = False,
        reason: str | None = None,
        **more: object,
    ) -> JobId:
        """Add an image from a URL, which a node downloads."""
        body = _without_none(name=image, url=url, checksum=checksum, **more)
        return self._submit("POST", "/2/images", _job_parameters(dry_run, reason), body)

    def RenameImage(
        self, image: str, new_name: str, dry_run: bool = False, reason: str | None = None
    ) -> JobId:
        """Rename an image."""
        path = _path("images", image, "rename")
        return self._submit("PUT", path, _job_parameters(dry_run, reason), {"new_name": new_name})

    def DeleteImage(self, image: str, dry_run: bool = False, reason: str | None = None) -> JobId:
        """Remove an image, with its copies on all nodes."""
        return self._submit("DELETE", _path("images", image), _job_parameters(dry_run, reason))

    # --- networks

    def GetNetworks(self, bulk: bool = False, reason: str | None = None) -> list[object]:
        """Return the names of all networks, or their details with ``bulk``."""
        return self._list("/2/networks", bulk, "name")

    def GetNetwork(self, network: str, reason: str | None = None) -> Object:
        """Return the details of a network."""
        return _to_object(self._request("GET", _path("networks", network)))

    def CreateNetwork(
        self,
        network_name: str,
        network: str,
        gateway: str | None = None,
        network6: str | None = None,
        gateway6: str | None = None,
        mac_prefix: str | None = None,
        add_reserved_ips: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        dry_run: bool = False,
        reason: str | None = None,
    ) -> JobId:
        """Add a network."""
        body = _without_none(
            network_name=network_name,
            network=network,
            gateway=gateway,
            network6=network6,
            gateway6=gateway6,
            mac_prefix=mac_prefix,
            add_reserved_ips=add_reserved_ips,
            tags=tags,
        )
        return self._submit("POST", "/2/networks", _job_parameters(dry_run, reason), body)

    def ConnectNetwork(
        self,
        network_name: str,
        group_name: str,
        mode: str,
        link: str,
        vlan: str = "",
        dry_run: bool = False,
        reason: str | None = None,
    ) -> JobId:
        """Connect a network to a node group."""
        body = {"group_name": group_name, "network_mode": mode, "network_link": link}
        body["network_vlan"] = vlan
        path = _path("networks", network_name, "connect")
        return self._submit("PUT", path, _job_parameters(dry_run, reason), body)

    def DisconnectNetwork(
        self, network_name: str, group_name: str, dry_run: bool = False, reason: str | None = None
    ) -> JobId:
        """Disconnect a network from a node group."""
        path = _path("networks", network_name, "disconnect")
        return self._submit(
            "PUT", path, _job_parameters(dry_run, reason), {"group_name": group_name}
        )

    def ModifyNetwork(self, network: str, reason: str | None = None, **more: object) -> JobId:
        """Change a network."""
        return self._submit(
            "PUT", _path("networks", network, "modify"), _reason_parameter(reason), more
        )

    def RenameNetwork(self, network: str, new_name: str, reason: str | None = None) -> JobId:
        """Rename a network."""
        path = _path("networks", network, "rename")
        return self._submit("PUT", path, _reason_parameter(reason), {"new_name": new_name})

    def DeleteNetwork(
        self, network: str, dry_run: bool = False, reason: str | None = None
    ) -> JobId:
        """Remove a network."""
        return self._submit("DELETE", _path("networks", network), _job_parameters(dry_run, reason))

    def GetNetworkTags(self, network: str, reason: str | None = None) -> list[str]:
        """Return the tags of a network."""
        return self._get_tags(_path("networks", network))

    def AddNetworkTags(
        self, network: str, tags: Iterable[str], dry_run: bool = False, reason: str | None = None
    ) -> JobId:
        """Add tags to a network."""
        return self._change_tags("PUT", _path("networks", network), tags, dry_run, reason)

    def DeleteNetworkTags(
        self, network: str, tags: Iterable[str], dry_run: bool = False, reason: str | None = None
    ) -> JobId:
        """Remove tags from a network."""
        return self._change_tags("DELETE", _path("networks", network), tags, dry_run, reason)

    # --- node groups

    def GetGroups(self, bulk: bool = False, reason: str | None = None) -> list[object]:
        """Return the names of all node groups, or their details with ``bulk``."""
        return self._list("/2/groups", bulk, "name")

    def GetGroup(self, group: str, reason: str | None = None) -> Object:
        """Return the details of a node group."""
        return _to_object(self._request("GET", _path("groups", group)))

    def CreateGroup(
        self,
        name: str,
        alloc_policy: str | None = None,
        dry_run: bool = False,
        reason: str | None = None,
        **more: object,
    ) -> JobId:
        """Add a node group."""
        body = _without_none(name=name, alloc_policy=alloc_policy, **more)
        return self._submit("POST", "/2/groups", _job_parameters(dry_run, reason), body)

    def ModifyGroup(self, group: str, reason: str | None = None, **more: object) -> JobId:
        """Change a node group."""
        return self._submit(
            "PUT", _path("groups", group, "modify"), _reason_parameter(reason), more
        )

    def DeleteGroup(self, group: str, dry_run: bool = False, reason: str | None = None) -> JobId:
        """Remove an empty node group."""
        return self._submit("DELETE", _path("groups", group), _job_parameters(dry_run, reason))

    def RenameGroup(self, group: str, new_name: str, reason: str | None = None) -> JobId:
        """Rename a node group."""
        path = _path("groups", group, "rename")
        return self._submit("PUT", path, _reason_parameter(reason), {"new_name": new_name})

    def AssignGroupNodes(
        self,
        group: str,
        nodes: Sequence[str],
        force: bool = False,
        dry_run: bool = False,
        reason: str | None = None,
    ) -> JobId:
        """Assign nodes to a group."""
        said = {"force": force or None, **_job_parameters(dry_run, reason)}
        return self._submit("PUT", _path("groups", group, "assign-nodes"), said, {"nodes": nodes})

    def GetGroupTags(self, group: str, reason: str | None = None) -> list[str]:
        """Return the tags of a node group."""
        return self._get_tags(_path("groups", group))

    def AddGroupTags(
        self, group: str, tags: Iterable[str], dry_run: bool = False, reason: str | None = None
    ) -> JobId:
        """Add tags to a node group."""
        return self._change_tags("PUT", _path("groups", group), tags, dry_run, reason)

    def DeleteGroupTags(
        self, group: str, tags: Iterable[str], dry_run: bool = False, reason: str | None = None
    ) -> JobId:
        """Remove tags from a node group."""
        return self._change_tags("DELETE", _path("groups", group), tags, dry_run, reason)

    # --- queries and job filters

    def Query(
        self,
        what: str,
        fields: Sequence[str],
        qfilter: Sequence[object] | None = None,
        reason: str | None = None,
    ) -> Object:
        """Return fields of the objects that a filter selects; each value has a status."""
        body = _without_none(fields=fields, qfilter=qfilter)
        return _to_object(self._request("PUT", _path("query", what), None, body))

    def QueryFields(
        self, what: str, fields: Sequence[str] | None = None, reason: str | None = None
    ) -> Object:
        """Return the fields of a kind of object."""
        said = {"fields": None if fields is None else ",".join(fields)}
        return _to_object(self._request("GET", _path("query", what, "fields"), said))

    def GetFilters(self, bulk: bool = False) -> list[object]:
        """Return the UUIDs of all job filters, or their details with ``bulk``."""
        return self._list("/2/filters", bulk, "uuid")

    def GetFilter(self, filter_uuid: str) -> Object:
        """Return a job filter."""
        return _to_object(self._request("GET", _path("filters", filter_uuid)))

    def AddFilter(
        self,
        priority: int,
        predicates: Sequence[object],
        action: object,
        reason_trail: Sequence[object] | None = None,
    ) -> str:
        """Add a job filter; return its UUID."""
        body = _without_none(
            priority=priority, predicates=predicates, action=action, reason=reason_trail
        )
        return str(self._request("POST", "/2/filters", None, body))

    def ReplaceFilter(
        self,
        uuid: str,
        priority: int,
        predicates: Sequence[object],
        action: object,
        reason_trail: Sequence[object] | None = None,
    ) -> str:
        """Replace or add a job filter; return its UUID."""
        body = _without_none(
            priority=priority, predicates=predicates, action=action, reason=reason_trail
        )
        return str(self._request("PUT", _path("filters", uuid), None, body))

    def DeleteFilter(self, uuid: str) -> None:
        """Remove a job filter."""
        self._request("DELETE", _path("filters", uuid))

    def _list(self, path: str, bulk: bool, key: str) -> list[Any]:
        found = _to_list(self._request("GET", path, {"bulk": bulk or None}))
        return found if bulk else [_field(each, key) for each in found]


def _path(*segments: str) -> str:
    return "/2/" + "/".join(quote(str(segment), safe="") for segment in segments)


def _encode_query(said: Mapping[str, object]) -> str:
    pairs: list[tuple[str, str]] = []
    for name, value in said.items():
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                pairs.append((name, str(int(each)) if isinstance(each, bool) else str(each)))
    return urlencode(pairs)


def _without_none(**values: object) -> Object:
    return {name: value for name, value in values.items() if value is not None}


def _reason_parameter(reason: str | None) -> Object:
    return {"reason": reason}


def _job_parameters(dry_run: bool, reason: str | None) -> Object:
    return {"dry-run": dry_run or None, "reason": reason}


def _to_object(value: object) -> Object:
    if not isinstance(value, dict):
        raise _unexpected("an object")
    return value


def _to_list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise _unexpected("a list")
    return value


def _to_texts(value: object) -> list[str]:
    return [str(each) for each in _to_list(value)]


def _field(value: object, name: str) -> Any:
    document = _to_object(value)
    if name not in document:
        raise _unexpected(f"an object with the field {name}")
    return document[name]


def _unexpected(wanted: str) -> GanetiApiError:
    """Return the error for an answer of another form; another server may have answered."""
    message = f"the answer is not {wanted}; check that this is the address of a remote API"
    return GanetiApiError(message, http.client.OK)
