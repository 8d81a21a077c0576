"""A model and tools in a loop. So far the tools."""
