"""MLServer with what a port to others needs: a token, TLS, and limits on bytes and on requests at once.

Its own gRPC server has none of these, and would let any client unload the model, so that part is left out here. The
engine (models, versions, workers, protocol) is MLServer's own.
"""

from __future__ import annotations

import dataclasses
import hmac
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import uvicorn
from mlserver.grpc import GRPCServer
from mlserver.grpc.dataplane_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from mlserver.grpc.servicers import InferenceServicer
from mlserver.rest import RESTServer
from mlserver.server import MLServer
from mlserver.settings import ModelParameters, ModelSettings, Settings

from bnn_exit.errors import ArgumentError, BnnExitError
from bnn_exit.offload.mlserver_runtime import SplitModel
from bnn_exit.offload.remote import MODEL, VERSION_DIGITS

_OVERHEAD_BYTES = 4096
"""Of a request beside its packet: names, identities, thresholds."""


@dataclasses.dataclass(frozen=True)
class ServerSettings:
    """How a server listens.

    Attributes:
        host: address to listen at.
        port: of gRPC.
        http_port: of HTTP with JSON; 0 for none.
        token: that every request must carry; "" for none.
        certificate, key: PEM, with which both ports are encrypted; b"" for plain.
        certificate_file, key_file: the same as files, for HTTP.
        max_clients: requests at once; more are refused. Larger takes more memory.
        max_bytes: of a request.
        workers: processes that run the network; 0: the server's own. More answer more requests a second.
        name: of the model.
    """

    host: str = "127.0.0.1"
    port: int = 8081
    http_port: int = 0
    token: str = dataclasses.field(default="", repr=False)
    certificate: bytes = dataclasses.field(default=b"", repr=False)
    key: bytes = dataclasses.field(default=b"", repr=False)
    certificate_file: str = ""
    key_file: str = ""
    max_clients: int = 64
    max_bytes: int = 2**20
    workers: int = 0
    name: str = MODEL


def check_ports(settings: ServerSettings) -> None:
    """ArgumentError if a port cannot be had. gRPC would share it with another server without a word."""
    if settings.port == settings.http_port:
        raise ArgumentError(f"--http-port is {settings.http_port}, the same as --port: choose another")
    for option, port in (("--port", settings.port), ("--http-port", settings.http_port)):
        if not port:
            continue
        try:
            family, kind, _, _, address = socket.getaddrinfo(settings.host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind(address)
        except OSError as error:
            raise ArgumentError(
                f"{option} is {port}, but {settings.host}:{port} cannot be used ({error.strerror or error}): choose "
                "another port, or end the program that has it"
            ) from error


async def serve(file: Path, identity: str, settings: ServerSettings, *, backend: str = "auto") -> None:
    """Serve a checked server.tflite until SIGINT or SIGTERM.

    Args:
        file: server.tflite.
        identity: of its split.
        settings: of the server.
        backend: of the half.
    """
    engine = _Engine(
        Settings(
            debug=False,
            host=settings.host,
            http_port=settings.http_port or 8080,
            grpc_port=settings.port,
            grpc_max_message_length=settings.max_bytes + _OVERHEAD_BYTES,
            parallel_workers=settings.workers,
            metrics_endpoint=None,
            gzip_enabled=False,
        ),
        settings,
    )
    # One line for each request that is refused, not a traceback: anybody can send one.
    logging.getLogger("mlserver").addFilter(_without_traceback)
    model = ModelSettings(
        name=settings.name,
        implementation=SplitModel,
        parameters=ModelParameters(
            uri=str(file.resolve()), version=identity[:VERSION_DIGITS], extra={"backend": backend}
        ),
    )
    await engine.start([model])


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


class _Engine(MLServer):
    def __init__(self, own: Settings, settings: ServerSettings) -> None:
        self._of_ours = settings
        super().__init__(own)

    def _create_servers(self) -> None:
        given = (self._settings, self._data_plane, self._model_repository_handlers)
        self._grpc_server = _Grpc(*given, settings=self._of_ours)
        self._rest_server = _Rest(*given, ours=self._of_ours) if self._of_ours.http_port else _NoServer()
        self._kafka_server = None


class _NoServer:
    """In place of a server that was not asked for."""

    async def start(self) -> None:
        """Nothing."""

    async def stop(self, sig: int | None = None) -> None:
        """Nothing."""

    async def add_custom_handlers(self, model: Any) -> Any:
        """Nothing."""
        return model

    async def delete_custom_handlers(self, model: Any) -> Any:
        """Nothing."""
        return model


class _Grpc(GRPCServer):
    def __init__(self, *given: Any, settings: ServerSettings) -> None:
        super().__init__(*given)
        self._of_ours = settings

    def _create_server(self) -> Any:
        ours = self._of_ours
        interceptors = [_Token(ours.token)] if ours.token else []
        self._server = grpc.aio.server(
            interceptors=interceptors,
            options=[*self._get_options(), ("grpc.so_reuseport", 0)],
            maximum_concurrent_rpcs=ours.max_clients,
        )
        servicer = InferenceServicer(self._data_plane, self._model_repository_handlers)
        add_GRPCInferenceServiceServicer_to_server(servicer, self._server)
        host = f"[{ours.host}]" if ":" in ours.host else ours.host
        where = f"{host}:{ours.port}"
        try:
            if ours.certificate:
                secured = grpc.ssl_server_credentials([(ours.key, ours.certificate)])
                bound = self._server.add_secure_port(where, secured)
            else:
                bound = self._server.add_insecure_port(where)
        except RuntimeError as error:
            raise BnnExitError(f"{where} cannot be used: {error}") from error
        if not bound:
            raise BnnExitError(f"{where} cannot be used")
        return self._server


class _Token(grpc.aio.ServerInterceptor):
    """Refuses calls without the token."""

    def __init__(self, token: str) -> None:
        self._wanted = f"Bearer {token}"

        async def refuse(request: Any, context: Any) -> None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is missing or wrong")

        self._refuse = grpc.unary_unary_rpc_method_handler(refuse)

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """See grpc."""
        given = dict(details.invocation_metadata).get("authorization", "")
        if not _same(str(given), self._wanted):
            return self._refuse
        return await continuation(details)


class _Rest(RESTServer):
    def __init__(self, *given: Any, ours: ServerSettings) -> None:
        super().__init__(*given)
        self._of_ours = ours

    def _get_config(self) -> uvicorn.Config:
        ours = self._of_ours
        return uvicorn.Config(
            _Guard(self._app, token=ours.token, max_bytes=2 * ours.max_bytes + _OVERHEAD_BYTES),  # base64 takes 4/3
            host=ours.host,
            port=ours.http_port,
            access_log=False,
            limit_concurrency=ours.max_clients,
            ssl_certfile=ours.certificate_file or None,
            ssl_keyfile=ours.key_file or None,
        )


class _Guard:
    """Around the HTTP application: inference and health alone, with the token, in so many bytes."""

    def __init__(self, app: Any, *, token: str, max_bytes: int) -> None:
        self._app, self._wanted, self._max_bytes = app, f"Bearer {token}" if token else "", max_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        path = scope["path"]
        if not path.startswith(("/v2/models/", "/v2/health/")):
            await _refuse(send, 404, "there is nothing at this address")
        elif self._wanted and not _same(headers.get(b"authorization", b"").decode("latin-1"), self._wanted):
            await _refuse(send, 401, "the token is missing or wrong")
        else:
            body = await self._body(receive)
            if body is None:
                await _refuse(send, 413, f"the request has more than {self._max_bytes} bytes")
                return
            sent = False

            async def given() -> Any:
                nonlocal sent
                if sent:
                    return await receive()
                sent = True
                return {"type": "http.request", "body": body, "more_body": False}

            await self._app(scope, given, send)

    async def _body(self, receive: Any) -> bytes | None:
        """The whole body; None as soon as it is too large."""
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b""
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._max_bytes:
                return None
            if not message.get("more_body"):
                return b"".join(parts)


async def _refuse(send: Any, status: int, text: str) -> None:
    body = f'{{"error": "{text}"}}'.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _same(given: str, wanted: str) -> bool:
    # In a time that does not depend on how much of it is right.
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())
