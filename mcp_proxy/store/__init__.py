"""What is on disk: accounts.toml, config.toml, and the state directory."""
