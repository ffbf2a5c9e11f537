def init():
    pass


def run(data):
    return {"score": float("nan")}
