"""Use cases shared by the command line and the service; no terminal and no network here."""
