"""The pool's scheduler: REST calls, the session's policy, notifications over SockJS and STOMP."""
