"""Wake words for Home Assistant and other programs that speak the Wyoming protocol."""
