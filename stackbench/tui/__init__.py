"""The terminal's screens: runs, one live run, one attempt, a new run. Only this room imports Textual."""
