"""Folders as Kilosort and Phy write them."""

import numpy as np

RATE = 30000.0
# Clusters 2, 5 and 9; the times tell the cluster: 2 fires every second, 5 half a second later, 9 at
# 0.25 and 20.25 s.
TRAINS = {
    2: np.arange(1, 11) * 30000,
    5: np.arange(1, 11) * 30000 + 15000,
    9: np.array([7500, 607500]),
}


def phy_folder(
    folder,
    clusters_file="spike_clusters.npy",
    params="dat_path = r'C:\\data\\rec.dat'\nsample_rate = 30000.\nhp_filtered = False\n",
    **tables,
):
    """As Kilosort and Phy write it; each of `tables` is the content of cluster_<name>.tsv, lines of
    a space between two fields.
    """
    folder.mkdir()
    times = np.concatenate(list(TRAINS.values()))
    clusters = np.repeat(list(TRAINS), [len(train) for train in TRAINS.values()])
    order = np.argsort(times, kind="stable")
    np.save(folder / "spike_times.npy", times[order].astype(np.uint64)[:, None])
    np.save(folder / clusters_file, clusters[order].astype(np.uint32))
    if params is not None:
        (folder / "params.py").write_text(params)
    for name, text in tables.items():
        (folder / f"cluster_{name}.tsv").write_text(text.replace(" ", "\t"), encoding="utf-8")
    return folder


GROUP = "cluster_id group\n2 good\n5 mua\n9 noise\n"
