"""A loopback stand-in for the Allen warehouse: answers the queries of AllenSDK's clients and serves
files, with faults on request.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

QUERY, DOWNLOAD = "/api/v2/data/query.json", "/api/v2/well_known_file_download/"
FILE_TYPES = {"EcephysSession": "EcephysNwb", "OphysExperiment": "NWBOphys"}


@dataclass
class Fault:
    """What goes wrong with one request. after: bytes that are sent first."""

    status: int | None = None  # this answer, with a page
    headers: dict | None = None
    page: bool = False  # a page, as if it were the file
    truncate: bool = False  # the connection ends properly, too early
    drop: bool = False  # it breaks off
    stall_s: float = 0.0  # nothing comes for a while
    after: int = 0
    ignore_range: bool = False  # the whole file, whatever was asked for
    no_rows: bool = False  # an answer to a query that says there are rows, and has none


@dataclass
class Request:
    method: str
    path: str
    range: str | None
    status: int | None = None


class Server:
    """`with Server(models, files) as server`: models = {name: rows}; files = {(attachable_type,
    id): path}, or {'/address': path}.

    `faults` are used up one per file request, `query_faults` one per query; `log` holds all
    requests, `file_requests` those for files.
    """

    def __init__(
        self,
        models: dict[str, list[dict]] | None = None,
        files: dict | None = None,
        etags: bool = True,
        page_rows: int = 5000,
    ):
        self.models, self.files, self.etags, self.page_rows = (
            dict(models or {}),
            {},
            etags,
            page_rows,
        )
        self.log: list[Request] = []
        self.faults: list[Fault | None] = []
        self.query_faults: list[Fault | None] = []
        self._well_known: list[dict] = []
        for number, (key, path) in enumerate((files or {}).items()):
            address = key if isinstance(key, str) else f"{DOWNLOAD}{70000 + number}"
            self.files[address] = Path(path)
            if not isinstance(key, str):
                self._well_known.append(
                    {
                        "id": 70000 + number,
                        "attachable_type": key[0],
                        "attachable_id": key[1],
                        "download_link": address,
                    }
                )

    def __enter__(self) -> Server:
        class Handler(_Handler):
            server_of_tests = self

        self._http = _QuietServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.host = f"127.0.0.1:{self._http.server_address[1]}"
        self.url = f"http://{self.host}"
        threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        return self

    def __exit__(self, *error):
        self._http.shutdown()
        self._http.server_close()

    @property
    def file_requests(self) -> list[Request]:
        return [request for request in self.log if not request.path.startswith(QUERY)]

    @property
    def queries(self) -> list[Request]:
        return [request for request in self.log if request.path.startswith(QUERY)]

    def answer(self, query: str) -> dict:
        rows = self._rows(query)
        wanted = {
            name: re.search(rf"\[{name}\$eq(\d+)\]", query) for name in ("start_row", "num_rows")
        }
        start = int(wanted["start_row"][1]) if wanted["start_row"] else 0
        page = (
            rows[start:][: min(int(wanted["num_rows"][1]), self.page_rows)]
            if wanted["num_rows"]
            else rows
        )
        return {
            "success": True,
            "start_row": start,
            "num_rows": len(page),
            "total_rows": len(rows),
            "msg": page,
        }

    def _rows(self, query: str) -> list[dict]:
        model = re.search(r"model::(\w+)", query)[1]
        if model != "WellKnownFile":
            rows = self.models.get(model, [])
            wanted = re.search(r"ecephys_session\[id\$in([\d,]+)\]", query)
            return [
                row
                for row in rows
                if wanted is None or str(row.get("_session")) in wanted[1].split(",")
            ]
        kind = re.search(r"well_known_file_type\[name\$eq'?(\w+)", query)[1]
        number = re.search(r"attachable_id\$eq(\d+)", query)
        return [
            row
            for row in self._well_known
            if FILE_TYPES[row["attachable_type"]] == kind
            and (number is None or row["attachable_id"] == int(number[1]))
        ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of_tests: Server

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server = self.server_of_tests
        path = re.sub("^/+", "/", unquote(self.path))  # AllenSDK asks for //api/...
        self.request_ = Request(self.command, path, self.headers.get("Range"))
        server.log.append(self.request_)
        is_query = path.startswith(QUERY)
        queue = server.query_faults if is_query else server.faults
        fault = (queue.pop(0) if queue else None) or Fault()
        if fault.status is not None:
            return self._send(fault.status, b"<html>not now</html>", "text/html", fault.headers)
        if is_query:
            answer = server.answer(path)
            if fault.no_rows:
                answer |= {"num_rows": 0, "msg": []}
            return self._send(200, json.dumps(answer).encode(), "application/json")
        if path not in server.files:
            return self._send(404, b"nothing here", "text/plain")
        if fault.page:
            return self._send(200, b"<html>please log in</html>", "application/octet-stream")
        self._send_file(server.files[path].read_bytes(), fault)

    do_HEAD = do_GET

    def _send(self, status: int, body: bytes, kind: str, headers: dict | None = None):
        self.request_.status = status
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_file(self, content: bytes, fault: Fault):
        headers, status, start, stop = {}, 200, 0, len(content)
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        if self.server_of_tests.etags:
            headers["ETag"] = tag
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted and not fault.ignore_range and self.headers.get("If-Range", tag) == tag:
            status, start = 206, int(wanted[1])
            stop = min(stop, int(wanted[2]) + 1) if wanted[2] else stop
            if start >= len(content):
                return self._send(
                    416, b"", "text/plain", {"Content-Range": f"bytes */{len(content)}"}
                )
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
        breaks = fault.truncate or fault.drop or fault.stall_s
        part = content[start:stop]
        first = part[: fault.after] if breaks else part
        self.request_.status = status
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(len(part)),
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            self.wfile.write(first)
            self.wfile.flush()
            if fault.stall_s:
                time.sleep(fault.stall_s)
                self.wfile.write(part[fault.after :])
        except OSError:  # the client gave up, as it should
            self.close_connection = True
        if fault.truncate or fault.drop:
            self.close_connection = True
        if fault.drop:
            time.sleep(0.2)  # a reset throws away what the client has not read yet
            # Linger 0: close sends a reset, as a dead connection does, instead of a proper end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        # connections that break are what is tested
        if not isinstance(sys.exc_info()[1], (OSError, ValueError)):
            super().handle_error(request, client_address)


def neuropixels_models(
    session_id: int, path: str | Path, specimen_id: int | None = None, genotype: str | None = None
) -> dict[str, list[dict]]:
    """The warehouse's rows for the session in a file of the Allen schema."""
    import h5py

    def text(value):
        return value.decode() if isinstance(value, bytes) else value

    with h5py.File(path) as file:
        general, units = file["general"], file["units"]
        electrodes = general["extracellular_ephys/electrodes"]
        columns = {
            name: electrodes[name][:]
            for name in (
                "id",
                "probe_id",
                "probe_horizontal_position",
                "probe_vertical_position",
                "x",
                "y",
                "z",
                "location",
            )
        }
        columns["local_index"] = electrodes[
            "local_index" if "local_index" in electrodes else "probe_channel_number"
        ][:]
        acronyms = [text(value) for value in columns.pop("location")]
        probes = [
            (name, int(group.attrs["probe_id"]))
            for name, group in general["extracellular_ephys"].items()
            if name != "electrodes"
        ]
        subject = general["subject"]
        donor = {
            "age": {
                "days": (
                    float(subject.attrs["age_in_days"]) if "age_in_days" in subject.attrs else 100.0
                )
            },
            "sex": text(subject["sex"][()]),
            "full_genotype": genotype or text(subject["genotype"][()]),
        }
        stimulus = (
            text(general["stimulus"][()]) if "stimulus" in general else "brain_observatory_1.1"
        )
        metrics = [
            "PT_ratio",
            "amplitude",
            "amplitude_cutoff",
            "cumulative_drift",
            "d_prime",
            "firing_rate",
            "isi_violations",
            "isolation_distance",
            "l_ratio",
            "local_index",
            "max_drift",
            "nn_hit_rate",
            "nn_miss_rate",
            "presence_ratio",
            "recovery_slope",
            "repolarization_slope",
            "silhouette_score",
            "snr",
            "spread",
            "velocity_above",
            "velocity_below",
        ]
        values = {name: units[name][:].tolist() for name in metrics if name in units}
        values |= {
            "duration": units["waveform_duration"][:].tolist(),
            "halfwidth": (units["waveform_duration"][:] / 2).tolist(),
            "id": units["id"][:].tolist(),
            "ecephys_channel_id": units["peak_channel_id"][:].tolist(),
            "quality": (
                [text(value) for value in units["quality"][:]]
                if "quality" in units
                else ["good"] * len(units["id"])
            ),
        }
    numbers = {acronym: 500 + i for i, acronym in enumerate(sorted(set(acronyms) - {"", "None"}))}
    renamed = {
        "probe_id": "ecephys_probe_id",
        "x": "anterior_posterior_ccf_coordinate",
        "y": "dorsal_ventral_ccf_coordinate",
        "z": "left_right_ccf_coordinate",
    }
    # The answer to a tabular query is text throughout.
    channels = [
        {renamed.get(name, name): str(columns[name][i]) for name in columns}
        | {
            "ecephys_structure_id": str(numbers[acronym]) if acronym in numbers else None,
            "ecephys_structure_acronym": acronym if acronym in numbers else None,
        }
        for i, acronym in enumerate(acronyms)
    ]
    unit_rows = [
        {name: values[name][i] for name in values}
        | {"epoch_name_quality_metrics": "complete_session"}
        for i in range(len(values["id"]))
    ]
    session = {
        "id": session_id,
        "date_of_acquisition": "2019-01-01T00:00:00Z",
        "fail_eye_tracking": True,
        "isi_experiment_id": 1,
        "published_at": "2019-10-03T00:00:00Z",
        "specimen_id": specimen_id or session_id + 1,
        "stimulus_name": stimulus,
        "specimen": {"donor": donor},
        "well_known_files": [{"well_known_file_type": {"name": "EcephysNwb"}}],
    }
    probe_rows = [
        {
            "id": number,
            "ecephys_session_id": session_id,
            "name": name,
            "phase": "3a",
            "sampling_rate": 29999.9,
            "lfp_sampling_rate": 2500.0,
            "lfp_temporal_subsampling_factor": 2.0,
            "air_channel_index": 370,
            "surface_channel_index": 350,
            "use_lfp_data": False,
        }
        for name, number in probes
    ]
    bundles = [
        {
            "id": i,
            "ecephys_unit_id": unit,
            "data": json.dumps({"g_osi_dg": 0.5}),
            "_session": session_id,
        }
        for i, unit in enumerate(values["id"])
    ]
    return {
        "EcephysSession": [session],
        "EcephysProbe": probe_rows,
        "EcephysChannel": channels,
        "EcephysUnit": unit_rows,
        "EcephysUnitMetricBundle": bundles,
    }


def two_photon_models(experiments: list[dict]) -> dict[str, list[dict]]:
    """The warehouse's rows for experiments given as dicts: id, container_id, cre_line, area,
    depth_um, session_type; all but the ids may be left out.
    """
    containers, rows = {}, []
    for given in experiments:
        one = {
            "cre_line": "Vip-IRES-Cre",
            "area": "VISp",
            "depth_um": 175,
            "session_type": "three_session_A",
        } | given
        lines = [(one["cre_line"], "driver"), ("Ai148(TIT2L-GC6f-ICL-tTA2)", "reporter")]
        donor = {
            "external_donor_name": f"{one['container_id']}",
            "full_genotype": f"{one['cre_line']}/wt",
            "age": {"days": 100},
            "conditions": [],
            "transgenic_lines": [
                {"name": name, "transgenic_line_type_name": kind} for name, kind in lines
            ],
        }
        common = {
            "imaging_depth": one["depth_um"],
            "targeted_structure": {"acronym": one["area"]},
            "specimen": {
                "id": one["container_id"],
                "name": f"{one['cre_line']}-{one['container_id']}",
                "donor": donor,
            },
        }
        container = containers.setdefault(
            one["container_id"],
            {
                "id": one["container_id"],
                "failed": False,
                "ophys_experiments": [],
                "isi_experiment": {"id": 1},
                **common,
            },
        )
        container["ophys_experiments"].append({"id": one["id"]})
        rows.append(
            {
                "id": one["id"],
                "experiment_container_id": one["container_id"],
                "experiment_container": {"failed": False},
                "stimulus_name": one["session_type"],
                "date_of_acquisition": "2017-01-01T00:00:00Z",
                "fail_eye_tracking": True,
                "well_known_files": [],
                **common,
            }
        )
    return {"ExperimentContainer": list(containers.values()), "OphysExperiment": rows}
