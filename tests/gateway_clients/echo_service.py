"""A service that echoes what comes over a WebSocket, with nothing but the standard library."""

import base64
import hashlib
import os
import socketserver
import struct

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PAGE = b"<!doctype html><title>Echo</title><p id=here>here</p>"


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline().decode()
        headers = {}
        while (header := self.rfile.readline().decode().strip()):
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        if "cookie" in headers and "dcos-acs" in headers["cookie"]:
            self.answer("500 Leak", b"the gateway's cookies were passed on")
        elif headers.get("upgrade", "").lower() == "websocket":
            self.websocket(headers["sec-websocket-key"])
        else:
            self.answer("200 OK", PAGE + f"<p id=line>{line.strip()}</p>".encode())

    def answer(self, status, body):
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\n"
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def websocket(self, key):
        digest = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        self.wfile.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {digest}\r\n\r\n".encode())
        while (head := self.rfile.read(2)):
            opcode, length = head[0] & 15, head[1] & 127
            if length == 126:
                length = struct.unpack(">H", self.rfile.read(2))[0]
            mask = self.rfile.read(4)
            data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(length)))
            if opcode == 8:
                return
            size = bytes([length]) if length < 126 else b"\x7e" + struct.pack(">H", length)
            self.wfile.write(bytes([0x80 | opcode]) + size + data)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("127.0.0.1", int(os.environ["PORT0"])), Handler).serve_forever()
