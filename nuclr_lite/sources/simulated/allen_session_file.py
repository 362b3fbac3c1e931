"""The file of a simulated Allen session: its tables, with the columns that AllenSDK wants."""

from __future__ import annotations

from tempfile import TemporaryFile

import numpy as np
import pandas as pd

from .nwb_tables import NwbTables

CHANNELS = 96  # a probe; the uppermost lie above the brain


class SessionWriter(NwbTables):
    """The parts of a session file."""

    def session(self, session_id: int, genotype: str, number: int, channels: pd.DataFrame):
        """What the file is, the animal, the probes and their channels."""
        import h5py

        for name, value in {
            "identifier": str(session_id),
            "session_description": "simulated",
            "session_start_time": "2019-01-01T00:00:00+00:00",
            "timestamps_reference_time": "2019-01-01T00:00:00+00:00",
            "general/session_id": str(session_id),
            "general/institution": "simulated by nuclr_lite; nothing here was measured",
            "general/stimulus": "brain_observatory_1.1",
        }.items():
            self.file[name] = value
        self.file["file_create_date"] = ["2019-01-01T00:00:00+00:00"]
        for name in (
            "acquisition",
            "analysis",
            "processing",
            "stimulus/presentation",
            "stimulus/templates",
            "intervals",
            "scratch",
        ):
            self.file.require_group(name)
        line = genotype.split("/")[0]
        subject = self.file.create_group("general/subject")
        self.typed(
            subject,
            "EcephysSpecimen",
            "ndx-aibs-ecephys",
            age_in_days=118.0,
            specimen_name=f"{line}-{number:06d}",
        )
        for name, value in {
            "age": "P118D",
            "genotype": genotype,
            "sex": "M",
            "species": "Mus musculus",
            "subject_id": str(920_000_000 + number),
        }.items():
            subject[name] = value
        subject["age"].attrs["reference"] = "birth"
        groups = {}
        for probe_id, name in channels.drop_duplicates("probe_id")[
            ["probe_id", "group_name"]
        ].to_numpy():
            device = self.file.create_group(f"general/devices/{name}")
            self.typed(
                device,
                "EcephysProbe",
                "ndx-aibs-ecephys",
                description="simulated probe",
                manufacturer="none",
                probe_id=int(probe_id),
                sampling_rate=30000.0,
            )
            group = self.file.create_group(f"general/extracellular_ephys/{name}")
            self.typed(
                group,
                "EcephysElectrodeGroup",
                "ndx-aibs-ecephys",
                description="Ecephys Electrode Group",
                location="See electrode locations",
                probe_id=int(probe_id),
                has_lfp_data=False,
                lfp_sampling_rate=np.nan,
            )
            group["device"] = h5py.SoftLink(device.name)
            groups[name] = group.ref
        table = self.table(
            "general/extracellular_ephys/electrodes",
            dict(channels.items()),
            channels.index,
            description="metadata about extracellular electrodes",
        )
        self.column(
            table,
            "group",
            np.array([groups[name] for name in channels["group_name"]], dtype=object),
            kind="reference",
        )
        table.attrs["colnames"] = [*channels.columns, "group"]

    def stimuli(self, presentations: dict, invalid: list, light: pd.DataFrame | None):
        """What was shown when, the invalid times, and the light pulses."""
        import h5py

        for name, table in presentations.items():
            self.table(
                f"intervals/{name}_presentations",
                dict(table.items()),
                table.index,
                kind="TimeIntervals",
            )
        start, stop, *tags = zip(*invalid)
        table = self.table(
            "intervals/invalid_times",
            {"start_time": start, "stop_time": stop, "tags": np.stack(tags, axis=1).ravel()},
            range(len(start)),
            "TimeIntervals",
        )
        self.index(table, "tags", 3 * (1 + np.arange(len(start))))
        if light is not None:
            module = self.file.create_group("processing/optotagging")
            self.typed(module, "ProcessingModule", description="optogenetic stimulation")
            series = self.series(
                module, "optotagging", light["start_time"], light["duration"], "seconds"
            )
            table = self.table(
                "processing/optotagging/optogenetic_stimulation",
                dict(light.items()),
                light.index,
                kind="TimeIntervals",
            )
            # AllenSDK drops these two columns unseen, and fails where they are missing.
            rows = np.arange(len(light))
            self.column(table, "tags", np.full(len(light), "optical_stimulation"))
            point = np.dtype([("idx_start", "i4"), ("count", "i4"), ("timeseries", h5py.ref_dtype)])
            self.column(
                table,
                "timeseries",
                np.array([(row, 1, series.ref) for row in rows], dtype=point),
                kind="TimeSeriesReferenceVectorData",
            )
            table["timeseries"].attrs["namespace"] = "core"
            for name in ("tags", "timeseries"):
                self.index(table, name, 1 + rows)
            table.attrs["colnames"] = [*light.columns, "tags", "timeseries"]

    def running(self, duration_s: float, rng: np.random.Generator):
        """Running speed in bouts, for AllenSDK, which wants it; nothing here reads it."""
        at = np.arange(0.0, duration_s, 1 / 60)
        speed = np.repeat(rng.random(len(at) // 600 + 1) < 0.3, 600)[: len(at)] * rng.gamma(
            4.0, 4.0, len(at)
        )
        module = self.typed(
            self.file.create_group("processing/running"),
            "ProcessingModule",
            description="running speed",
        )
        for name, start, data, unit in (
            ("running_speed", at, speed, "cm/s"),
            ("running_speed_end_times", at + 1 / 60, np.full(len(at), np.nan), "cm/s"),
        ):
            self.series(module, name, start, data, unit)

    def spikes(self, units: pd.DataFrame, trains, rng: np.random.Generator) -> np.ndarray:
        """Write train after train; returns the mean rates, Hz."""
        group = self.file.create_group("units")
        ends, rates = [0], []
        with TemporaryFile() as times, TemporaryFile() as amplitudes:
            for train in trains:
                np.asarray(train, dtype="f8").tofile(times)
                (1e-4 + 1e-5 * rng.standard_normal(len(train))).tofile(amplitudes)
                ends.append(ends[-1] + len(train))
                rates.append(len(train) / max(np.ptp(train), 1.0) if len(train) else 0.0)
            # in one piece each, as AllenSDK writes them: so their length must be known first
            for name, written in (("spike_times", times), ("spike_amplitudes", amplitudes)):
                dataset = group.create_dataset(name, (ends[-1],), dtype="f8")
                written.seek(0)
                for start, stop in zip(ends, ends[1:]):
                    dataset[start:stop] = np.fromfile(written, dtype="f8", count=stop - start)
                self.typed(dataset, "VectorData", "hdmf-common", description="no description")
                self.index(group, name, ends[1:])
        return np.array(rates)

    def units(self, units: pd.DataFrame, channels: pd.DataFrame, rng: np.random.Generator):
        """One row a unit: quality, shape of its spikes; and, in scratch, how it was simulated."""
        n = len(units)
        flaw = rng.choice(
            ["", "noise", "amplitude_cutoff", "presence_ratio", "isi_violations"],
            p=[0.84, 0.04, 0.04, 0.04, 0.04],
            size=n,
        )

        def near(mean: float, spread: float) -> np.ndarray:
            return np.abs(mean + spread * rng.standard_normal(n))

        columns = {
            "peak_channel_id": units["peak_channel_id"],
            "local_index": np.arange(n),
            "cluster_id": np.arange(n),
            "firing_rate": units["firing_rate"],
            "quality": np.where(flaw == "noise", "noise", "good"),
            "amplitude_cutoff": np.where(flaw == "amplitude_cutoff", 0.3, near(0.02, 0.01)),
            "presence_ratio": np.where(flaw == "presence_ratio", 0.7, 0.99),
            "isi_violations": np.where(flaw == "isi_violations", 1.5, near(0.05, 0.03)),
            "isolation_distance": near(60, 15),
            "l_ratio": near(0.01, 0.005),
            "d_prime": near(4, 1),
            "nn_hit_rate": near(0.9, 0.02),
            "nn_miss_rate": near(0.01, 0.005),
            "max_drift": near(20, 5),
            "cumulative_drift": near(200, 50),
            "silhouette_score": near(0.1, 0.03),
            "snr": near(3, 0.5),
            "spread": near(60, 15),
            "waveform_duration": near(0.45, 0.12),
            "waveform_halfwidth": near(0.2, 0.05),
            "PT_ratio": near(0.5, 0.1),
            "repolarization_slope": near(0.5, 0.1),
            "recovery_slope": -near(0.1, 0.03),
            "amplitude": near(120, 30),
            "velocity_above": near(0.2, 0.1),
            "velocity_below": -near(0.2, 0.1),
        }
        group = self.table("units", columns, units.index, kind="Units")
        waveforms = group.create_dataset(
            "waveform_mean", (n * CHANNELS, 82), dtype="f8", fillvalue=0.0, chunks=(CHANNELS, 82)
        )
        depth = channels["local_index"].reindex(units["peak_channel_id"]).to_numpy()
        for i, (at, height) in enumerate(zip(depth, columns["amplitude"])):
            waveforms[i * CHANNELS + at] = -height * np.exp(-(((np.arange(82) - 30) / 4.0) ** 2))
        self.typed(
            waveforms,
            "VectorData",
            "hdmf-common",
            description="mean waveform, by channel",
            unit="volts",
        )
        self.index(group, "waveform_mean", CHANNELS * (1 + np.arange(n)))
        group.attrs["colnames"] = [*columns, "spike_times", "spike_amplitudes", "waveform_mean"]
        truth = units[
            [
                "cell_type",
                "area",
                "light_response",
                "state_coupling",
                "state_lag_s",
                "state_sign",
                "drive_coupling",
                "drive_lag_s",
                "drive_sign",
            ]
        ]
        self.table(
            "scratch/simulated_truth",
            dict(truth.items()),
            units.index,
            description="how each unit was simulated",
        )
