"""The run folder: the names, the readers and the writers of what one training leaves behind."""
