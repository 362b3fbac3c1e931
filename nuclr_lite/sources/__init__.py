"""Where recordings come from: one file a source, each returning `Recording`s."""
