"""Reads the store, writes files."""
