"""Serves agents over the Agent Client Protocol, so that editors attach: Zed, Toad and others."""
