from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp


@rawhttp
def run(request: AMLRequest):
    return {"json": request.get_json(), "type": request.content_type, "text": request.get_data(as_text=True)}


def init():
    pass
