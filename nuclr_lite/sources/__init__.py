"""Where recordings come from: each reader returns `Recording`s.

A reader asks for its own library when it is used.

Lives here: a file a format (`phy`, `objects`, `suite2p`, `caiman`, `folder`), a folder for the
larger ones (`allen`, `nwb`, `published`, `simulated`), and `download`. May import the ground floor
and `files/`; may not import `analysis/`, `experiments/`, `plots/`.
"""
