import json


def init():
    pass


def run(data):
    return [json.dumps({"a": 1}), json.dumps({"a": 2})]
