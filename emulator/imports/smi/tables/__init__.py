"""By its path in the XML, each field: which figure it is and what reads it, or why it is none."""
