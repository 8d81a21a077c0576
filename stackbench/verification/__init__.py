"""Independent verification of a run or of the bundle that was published of it."""
