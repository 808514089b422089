"""The security review of templates and Dockerfiles: `make review`."""
