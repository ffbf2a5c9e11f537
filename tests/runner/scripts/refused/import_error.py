import no_such_package  # noqa: F401


def init():
    pass


def run(data):
    return data
