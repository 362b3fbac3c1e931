"""Published data sets, each read as it was published: `steinmetz`, `ibl`, `bugeon`, `brainsets`,
`rat_decisions`; `brainwidebench` (tables of units) and the `embeddings` that the authors published
of them.

Lives here: a file a data set (`ibl` has the tables of an insertion in `ibl_tables`), and `alf`, the
form that several of them share.
May import what `sources/` may, and `download/`.
"""
