"""The Allen Brain Observatory: `neuropixels` and `two_photon` list, download and read;
`optotagging` names cell types.

Lives here: AllenSDK's clients made to end, its session files read by h5py. May import what
`sources/` may, and `download/`; AllenSDK itself only inside `client`.
"""
