"""The pool's notifications: STOMP over SockJS over HTTP."""
