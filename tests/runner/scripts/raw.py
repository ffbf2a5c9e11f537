from azureml_inference_server_http.api.aml_request import rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    pass


@rawhttp
def run(request):
    if request.method == "GET":
        return AMLResponse({"args": dict(request.args)}, 200, json_str=True)
    body = request.get_data(False)
    if body == b"bad":
        return AMLResponse("not good", 422)
    if body == b"fail":
        return AMLResponse("failed", 503, {"X-Why": "test"})
    return AMLResponse(body[::-1], 200, {"Content-Type": "application/octet-stream", "X-Length": str(len(body))})
