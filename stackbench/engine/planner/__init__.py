"""What a run will need and how long it will take: known before it begins, nothing is started to know it."""
