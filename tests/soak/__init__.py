"""A year of nights: a scheduled run, night after night, that is killed now and then. Not collected by `make test`."""
