"""Lets programs on the host reach the API server inside of the cluster's network namespace.

Run as a script: PORT PID TARGET_PORT. It opens the listening socket while it is still in the host's network,
then moves itself into the network of process PID and connects to 127.0.0.1:TARGET_PORT there for each client.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import sys

CLONE_NEWNET = 0x40000000  # linux/sched.h


def enter_network(pid: int) -> None:
    """Moves this thread into the network namespace of a process. Python's own os.setns came with 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if libc.setns(handle, CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(handle)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies one direction of a connection, and passes on its end."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()


async def serve(listener: socket.socket, target: int) -> None:
    """Forwards each connection of the listener until the process ends."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
            with contextlib.closing(far_writer):
                await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    async with await asyncio.start_server(client, sock=listener) as server:
        await server.serve_forever()


def main(port: int, pid: int, target: int) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    enter_network(pid)
    asyncio.run(serve(listener, target))


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
