def init():
    pass


def run(data):
    raise ValueError(f"cannot score {data}")
