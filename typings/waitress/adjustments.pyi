class Adjustments:
    threads: int
    trusted_proxy: str | None
    max_request_body_size: int
    max_request_header_size: int

    def __init__(self, **kw: object) -> None: ...
