"""`ropewalk serve`: an OpenAI-compatible endpoint for one model."""

from __future__ import annotations

from typing import Annotated

import typer

from ropewalk.cli.writing import DeviceOption, ModelArgument

FAREWELL_SECONDS = 5


def command(
    model: ModelArgument,
    host: Annotated[str, typer.Option("--host", help="The address; any but loopback needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8000,
    token: Annotated[
        str, typer.Option("--token", envvar="ROPEWALK_TOKEN", help="What clients must give as their API key.", show_envvar=True)
    ] = "",
    name: Annotated[str, typer.Option("--name", help="What the model is called there; MODEL when left out.")] = "",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Answers written together.")] = 16,
    waiting: Annotated[int, typer.Option("--waiting", min=1, help="Answers written or waiting; more are refused (429).")] = 64,
    device: DeviceOption = "auto",
) -> None:
    """Serve a model on this machine: /v1/chat/completions, /v1/completions and /v1/models. Ctrl-C ends it."""
    import socket
    from dataclasses import replace

    from ropewalk.core.errors import ConfigError, Interrupted
    from ropewalk.core.log import LOGGER

    loopback = host in ("127.0.0.1", "localhost", "::1")
    if not loopback and len(token) < 16:
        raise ConfigError(
            f"--host {host}: others can reach it, so it needs a token of 16 characters or more",
            remedy="set ROPEWALK_TOKEN, for example to the output of: openssl rand -hex 24",
        )
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(f"--host {host} --port {port}: {error.strerror}", remedy="choose another --port; 0 takes a free one") from None
    with listener:
        import uvicorn

        from ropewalk.app.endpoint import LOOPBACK, make_app
        from ropewalk.app.engine import Engine
        from ropewalk.pipeline.open_model import open_model

        opened = open_model(model, device, batch)
        opened = replace(opened, name=name) if name else opened
        app = make_app(opened, Engine(opened.writer, waiting), token, LOOPBACK if loopback else ())
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=FAREWELL_SECONDS, server_header=False)
        shown = f"[{host}]" if ":" in host else host
        LOGGER.info("%s: http://%s:%d/v1 (Ctrl-C ends)", opened.name, shown, listener.getsockname()[1])
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except Interrupted:  # uvicorn has closed everything, and then passes the signal on
            LOGGER.info("stopped")
