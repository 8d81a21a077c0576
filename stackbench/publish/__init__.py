"""The publication package of runs: files in the forms of hubs, archives and papers. Nothing is sent unasked."""
