"""Sockets and HTTP for hookd's own doors: listeners, peer credentials, one small HTTP/1.1 server, ASGI apps on it."""
