"""The report: one HTML page about a measured model, which needs no network and no program but a browser."""
