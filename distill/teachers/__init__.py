"""Full-precision networks that students learn from."""
