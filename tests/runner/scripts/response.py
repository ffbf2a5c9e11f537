from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    pass


def run(data):
    return AMLResponse({"got": data}, 201, {"X-Model": "seven"}, json_str=True)
