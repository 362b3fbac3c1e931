"""Simulated session files: the same again for the same seed, another for another animal."""

import pytest

from nuclr_lite.sources.simulated.allen_session import simulate_allen_session


def test_simulated_session_is_reproducible(tmp_path):
    paths = [
        simulate_allen_session(tmp_path / name, n_units=24, duration_s=60.0, seed=3, animal=animal)
        for name, animal in (("a.nwb", 1), ("b.nwb", 1), ("c.nwb", 2))
    ]
    first, again, other = (path.read_bytes() for path in paths)
    assert first == again and first != other
    with pytest.raises(FileExistsError):
        simulate_allen_session(paths[0])
    with pytest.raises(ValueError, match="at least 12 units a probe"):
        simulate_allen_session(tmp_path / "d.nwb", n_units=10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nwb", "b.nwb", "c.nwb"]
