import json

model = None


def init():
    global model
    model = 2


def run(data):
    return {"doubled": json.loads(data)["x"] * model}
