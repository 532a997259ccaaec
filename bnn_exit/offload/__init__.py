"""A device with a server behind it: the first exits here, the rest there, and who decides which clip goes.

The device needs NumPy and grpcio (extra `client`), the server MLServer (extra `server`).
"""
