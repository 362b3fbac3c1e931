"""Downloads that finish: `downloads` resume, retry and check, `transfer` is one file's way,
`figshare` finds files there.

Lives here: whatever talks to a server for the sake of a file.
May import `files/` and `sources.reading`; no reader of a format.
"""
