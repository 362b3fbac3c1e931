"""Files and tables: what is written is written whole or not at all, what comes in is right or
refused.

Lives here: atomic writing and checksums, saved recordings, tidy tables, intervals and values;
progress bars. May import nothing of the rest of the package; everything may import it.
"""
