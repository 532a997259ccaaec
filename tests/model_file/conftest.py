from file_fixtures import lce_run, reference_run, single, tiny

__all__ = ["lce_run", "reference_run", "single", "tiny"]
