"""The container engine: pulls, containers and networks, through the docker SDK in threads."""
