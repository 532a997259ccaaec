"""A device with a server behind it: the first exits here, the rest there, and who decides which clip goes.

The device needs NumPy and grpcio (extra `client`), the server MLServer (extra `server`).

Example:
    >>> from bnn_exit import offload
    >>> with offload.OffloadClient("device.tflite", offload.Address("192.168.1.5:8081")) as client:
    ...     client.connect()
    ...     print(client.predict(waveform).label)
"""

from bnn_exit.offload.client import OffloadClient, OffloadPrediction
from bnn_exit.offload.remote import Address
from bnn_exit.offload.scheduler import EnergyModel

__all__ = ["Address", "EnergyModel", "OffloadClient", "OffloadPrediction"]
