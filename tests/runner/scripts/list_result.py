def init():
    pass


def run(data):
    return [1, None, {"a": "ü"}, 2.5, True]
