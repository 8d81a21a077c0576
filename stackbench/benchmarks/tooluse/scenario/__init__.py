"""Scenarios: files, templates and their parameters, fields of a task, set-up of its environment in a container."""
