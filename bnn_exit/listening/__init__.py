"""From a source of sound (microphone, pipe, file) to events, and what is done about them."""
