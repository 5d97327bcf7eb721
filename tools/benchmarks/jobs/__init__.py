"""Workers of tfmeta; see `answering` for how they are asked."""
