def init():
    pass


def run(raw_data, request_headers):
    return {"type": type(raw_data).__name__, "data": raw_data, "site": request_headers.get("X-Site")}
