"""AllenSDK's own clients, with their caches as they are, and with requests that end: timeouts,
status checks, second tries.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import warnings
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from pathlib import Path
from urllib.parse import quote, urljoin
from uuid import uuid4

import numpy as np

from ...files.storage import atomic_file
from ..download.downloads import download, opens_as_hdf5
from ..download.transfer import DownloadError, read_json

WAREHOUSE = "api.brain-map.org"
BUCKET = "https://allen-brain-observatory.s3.us-west-2.amazonaws.com/visual-coding-neuropixels/ecephys-cache"
# AllenSDK 2.16.2 uses these, which numpy 2 no longer has.
REMOVED_FROM_NUMPY = {
    "string_": "bytes_",
    "unicode_": "str_",
    "NaN": "nan",
    "VisibleDeprecationWarning": "exceptions.VisibleDeprecationWarning",
}


def import_allensdk(module: str = "allensdk"):
    """A module of AllenSDK. Puts back the numpy names it needs first.

    Raises
    ------
    ImportError : AllenSDK is not installed, or doesn't work with what is; says what to type on this
        Python.
    """
    for old, new in REMOVED_FROM_NUMPY.items():
        if not hasattr(np, old):
            setattr(np, old, attrgetter(new)(np))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # marshmallow's, by the dozen
            warnings.filterwarnings("ignore", message=".*pkg_resources")
            importlib.import_module("allensdk")
            return importlib.import_module(module)
    except (ImportError, AttributeError) as error:
        if sys.version_info < (3, 12):
            remedy = (
                "pip install -r requirements.txt (which has allensdk==2.16.2 and the versions it"
                " works with)"
            )
        else:
            remedy = (
                "pip install -r requirements.txt and then pip install --no-deps allensdk==2.16.2"
            )
        missing = getattr(error, "name", None) == "allensdk"
        why = (
            "is not installed"
            if missing
            else f"is installed but can't be imported ({type(error).__name__}: {error})"
        )
        raise ImportError(f"this needs AllenSDK, which {why}. On this Python: {remedy}") from error


def neuropixels_cache(
    cache_dir: str | Path,
    scheme: str | None = None,
    host: str | None = None,
    timeout_s: tuple[float, float] = (10.0, 120.0),
):
    """AllenSDK's EcephysProjectCache on `cache_dir`: its tables, its layout, its manifest.json.

    Unlike AllenSDK's own, it gives up on a connection that says nothing for timeout_s (to connect,
    to read), tries again, resumes downloads, and never leaves or reads half a table. `scheme` and
    `host` stand for another warehouse (http, api.brain-map.org).
    """
    import_allensdk()
    cache_class, engine_class, api_class = _neuropixels_classes()
    engine = engine_class(scheme or "http", host or WAREHOUSE, timeout_s)
    return _with_manifest(
        cache_dir, lambda manifest: cache_class(fetch_api=api_class(engine), manifest=manifest)
    )


def neuropixels_session_path(cache_dir: str | Path, session_id: int) -> Path:
    """Where AllenSDK keeps a session."""
    return Path(cache_dir).expanduser() / f"session_{session_id}" / f"session_{session_id}.nwb"


def neuropixels_session_urls(
    cache, session_id: int, bucket: str = BUCKET
) -> list[str | Callable[[], str]]:
    """Where a session may be downloaded, in order, for `downloads.download`.

    First the public bucket, which resumes and doesn't depend on the warehouse; then the file that
    the warehouse names when AllenSDK asks it, which is done only when the bucket has failed. A
    cache on another host has the second only.
    """
    urls: list[str | Callable[[], str]] = [lambda: cache.fetch_api.get_session_data(session_id)]
    if cache.fetch_api.rma_engine.host == WAREHOUSE:
        urls.insert(0, f"{bucket}/session_{session_id}/session_{session_id}.nwb")
    return urls


def two_photon_cache(
    cache_dir: str | Path,
    base_uri: str | None = None,
    timeout_s: tuple[float, float] = (10.0, 120.0),
):
    """AllenSDK's BrainObservatoryCache on `cache_dir`, with the same improvements as
    `neuropixels_cache`.

    `base_uri` stands for another warehouse (http://api.brain-map.org). Which sessions have eye
    tracking, which AllenSDK asks the server each time, is kept in eye_mapping_files.json, so that a
    full cache lists its experiments without a network.
    """
    import_allensdk()
    cache_class, api_class = _two_photon_classes()
    api = api_class(base_uri, Path(cache_dir).expanduser(), timeout_s)
    return _with_manifest(cache_dir, lambda manifest: cache_class(manifest_file=manifest, api=api))


def two_photon_path(cache, experiment_id: int) -> Path:
    """Where AllenSDK keeps an experiment: ophys_experiment_data/<id>.nwb."""
    return Path(cache.get_cache_path(None, cache.EXPERIMENT_DATA_KEY, experiment_id))


def two_photon_file_url(cache, experiment_id: int) -> str:
    """The address of an experiment's file, which the warehouse is asked for.

    ValueError where it has none.
    """
    rows = cache.api.template_query(
        "brain_observatory_queries", "ophys_experiment_data", ophys_experiment_id=int(experiment_id)
    )
    if not rows:
        raise ValueError(
            f"the warehouse has no file of experiment {experiment_id}; choose one that"
            " list_experiments shows."
        )
    return urljoin(cache.api.api_url, rows[0]["download_link"])


@cache
def _neuropixels_classes():
    """AllenSDK's cache, engine and warehouse with what they lack.

    Made here because AllenSDK isn't imported before it is needed.
    """
    project = import_allensdk("allensdk.brain_observatory.ecephys.ecephys_project_cache")
    api = import_allensdk("allensdk.brain_observatory.ecephys.ecephys_project_api")
    engines = import_allensdk("allensdk.brain_observatory.ecephys.ecephys_project_api.rma_engine")

    class Engine(engines.RmaEngine):
        def __init__(self, scheme, host, timeout_s):
            super().__init__(scheme, host)
            self.timeout_s = timeout_s

        def get_rma(self, query):
            url = (
                f"{self.scheme}://{self.host}/{self.rma_prefix}/{self.format_query_string}?{query}"
            )
            start, total = 0, None
            while total is None or start < total:
                page = read_json(self.add_page_params(url, start), timeout_s=self.timeout_s)
                if not isinstance(page, dict) or not page.get("success"):
                    raise DownloadError(
                        f"the warehouse at {self.host} refused a query: {str(page)[:200]}"
                    )
                total = page["total_rows"] if total is None else total
                if not page["msg"] and start < total:
                    raise DownloadError(
                        f"the warehouse at {self.host} sent {start} of {total} rows and then none;"
                        " run it again later."
                    )
                start += len(page["msg"])
                yield page["msg"]

        def stream(self, route):
            """The address; `write_bytes`, which AllenSDK hands it to, downloads."""
            return urljoin(f"{self.scheme}://{self.host}", route)

        @staticmethod
        def write_bytes(path, stream):
            download(
                stream,
                path,
                check=opens_as_hdf5 if str(path).endswith(".nwb") else lambda path: None,
            )

    class Cache(project.EcephysProjectCache):
        def __init__(self, **options):
            super().__init__(**options)
            self._whole_tables = set()

        def get_session_data(self, session_id, *arguments, **options):
            path = self.get_cache_path(None, self.SESSION_NWB_KEY, session_id, session_id)
            download(neuropixels_session_urls(self, session_id), path)
            # AllenSDK deletes a file that it fails to read, and downloads it again, unless it has
            # no tries.
            tries, self.fetch_tries = self.fetch_tries, 0
            try:
                return super().get_session_data(session_id, *arguments, **options)
            finally:
                self.fetch_tries = tries

        def session_ids(self) -> list[int]:
            """Asks for the sessions only, where get_session_table asks for 58 MB of units and
            channels too.
            """
            return self._get_sessions().index.tolist()

        def _get_sessions(self):
            self._fetch_table(self.SESSIONS_KEY, self.fetch_api.get_sessions)
            return super()._get_sessions()

        def _get_probes(self):
            self._fetch_table(self.PROBES_KEY, self.fetch_api.get_probes)
            return super()._get_probes()

        def _get_channels(self):
            self._fetch_table(self.CHANNELS_KEY, self.fetch_api.get_channels)
            return super()._get_channels()

        def _get_units(self, *args, **options):
            self._fetch_table(self.UNITS_KEY, self.fetch_api.get_units)
            return super()._get_units(*args, **options)

        def _fetch_table(self, key, fetch):
            def text():
                try:
                    return fetch().to_csv()
                except KeyError as error:  # what AllenSDK makes of no rows
                    raise DownloadError(
                        f"the warehouse at {self.fetch_api.rma_engine.host} has no {key}, or lacks"
                        f" {error} in them."
                    ) from error

            if key not in self._whole_tables:  # AllenSDK reads each several times for one answer
                _keep(Path(self.get_cache_path(None, key)), _is_whole_csv, text)
                self._whole_tables.add(key)

    return Cache, Engine, api.EcephysProjectWarehouseApi


@cache
def _two_photon_classes():
    module = import_allensdk("allensdk.core.brain_observatory_cache")
    base = import_allensdk("allensdk.api.queries.brain_observatory_api").BrainObservatoryApi

    class Api(base):
        def __init__(self, base_uri, cache_dir, timeout_s):
            super().__init__(base_uri)
            self.cache_dir, self.timeout_s = cache_dir, timeout_s

        def retrieve_parsed_json_over_http(self, url, post=False):
            answer = read_json(quote(url, safe=";/?:@&=+$,"), timeout_s=self.timeout_s)
            if not isinstance(answer, dict) or not answer.get("success", True):
                raise DownloadError(
                    f"the warehouse at {self.api_url} refused a query: {str(answer)[:200]}"
                )
            return answer

        def retrieve_file_over_http(self, url, file_path, zipped=False):
            if zipped:
                return super().retrieve_file_over_http(url, file_path, zipped)
            download(
                url,
                file_path,
                check=(
                    opens_as_hdf5 if str(file_path).endswith((".nwb", ".h5")) else lambda path: None
                ),
            )

        def get_experiment_containers(self, experiment_container_ids=None, path=None, **caching):
            return _kept_json(
                path, lambda: super(Api, self).get_experiment_containers(experiment_container_ids)
            )

        def get_ophys_experiments(self, ophys_experiment_ids=None, path=None, **caching):
            return _kept_json(
                path, lambda: super(Api, self).get_ophys_experiments(ophys_experiment_ids)
            )

        def template_query(self, template_name, entry_name, **criteria):
            def ask():
                return super(Api, self).template_query(template_name, entry_name, **criteria)

            return (
                _kept_json(self.cache_dir / "eye_mapping_files.json", ask)
                if entry_name == "all_eye_mapping_files"
                else ask()
            )

    return module.BrainObservatoryCache, Api


def _with_manifest(cache_dir: str | Path, make: Callable[[str], object]):
    """The cache that `make` opens on manifest.json, which AllenSDK writes first where there is none
    that can be read.
    """
    manifest = Path(cache_dir).expanduser().resolve() / "manifest.json"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    if not _reads_as_json(manifest):
        fresh = manifest.with_name(f".{uuid4().hex[:8]}.manifest.json")
        try:
            make(str(fresh))
            os.replace(fresh, manifest)
        finally:
            fresh.unlink(missing_ok=True)
    return make(str(manifest))


def _kept_json(path: str | Path | None, fetch: Callable[[], list]) -> list:
    if path is None:
        return fetch()
    _keep(Path(path), _reads_as_json, lambda: json.dumps(fetch()))
    return json.loads(Path(path).read_text(encoding="utf-8"))


def _keep(path: Path, is_whole: Callable[[Path], bool], text: Callable[[], str]) -> None:
    """Make sure of a file of text: fetched where there is none, or half of one, and written beside
    and renamed.
    """
    if is_whole(path):
        return
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not is_whole(path):
            with (
                atomic_file(path) as partial,
                open(partial, "w", encoding="utf-8", newline="") as handle,
            ):
                handle.write(text())


def _reads_as_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
        return True
    except (OSError, ValueError):
        return False


def _is_whole_csv(path: Path) -> bool:
    """Whether a table has rows and ends with a whole one: AllenSDK, killed while it writes, leaves
    half of a row.
    """
    import csv

    try:
        with open(path, encoding="utf-8", newline="") as handle:
            rows = csv.reader(handle)
            header = next(rows, [])
            widths = [len(row) for row in rows]
        with open(path, "rb") as handle:
            handle.seek(-1, os.SEEK_END)
            ends = handle.read() == b"\n"
    except (OSError, ValueError, csv.Error):
        return False
    return ends and bool(widths) and set(widths) == {len(header)}
