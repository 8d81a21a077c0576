"""The built-in suites, one TOML file each."""
