"""
nginx: Debian's, over http and https on free ports, serving a folder and a few answers of its own.
"""
import os
import socket

from . import patience, stage
from .process import Process

CONFIG = """
daemon off; master_process off; worker_processes 1;
pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 512; }}
http {{
    types {{ application/json json; text/csv csv; text/plain txt; image/png png; }}
    charset utf-8; charset_types text/plain text/csv;
    access_log off; gzip on; gzip_types application/json; gzip_min_length 64;
    client_body_temp_path {folder}/tmp1; proxy_temp_path {folder}/tmp2;
    fastcgi_temp_path {folder}/tmp3; uwsgi_temp_path {folder}/tmp4; scgi_temp_path {folder}/tmp5;
    server {{
        listen 127.0.0.1:{http}; listen 127.0.0.1:{https} ssl;
        ssl_certificate {certificate}; ssl_certificate_key {key};
        root {root};
        location = /unavailable {{ add_header Retry-After 600 always; return 503 "later"; }}
        location = /limited {{ add_header Retry-After 300 always; return 429 "slower"; }}
        location /slow/ {{ alias {root}/; limit_rate {slow}; }}
        location = /moved {{ return 302 /iso_3166-1.json; }}
    }}
}}
"""


class Nginx:
    def __init__(self, folder, root, authority, slow="3k"):
        self.folder, self.root = str(folder), str(root)
        certificate, key = authority.certificate("localhost", "127.0.0.1")
        self.http, self.https = stage.free_port(), stage.free_port()
        config = os.path.join(self.folder, "nginx.conf")
        with open(config, "w") as out:
            out.write(
                CONFIG.format(
                    folder=self.folder, root=self.root, http=self.http, https=self.https, slow=slow,
                    certificate=certificate, key=key,
                )
            )
        argv = ["/usr/sbin/nginx", "-p", self.folder, "-c", config, "-e", "stderr"]
        self.process = Process("nginx", argv, self.folder)

    def start(self):
        self.process.launch()
        patience.until(self._answers, "nginx does not listen")
        return self

    def _answers(self):
        assert self.process.alive, self.process.story()
        with socket.socket() as wire:
            return wire.connect_ex(("127.0.0.1", self.https)) == 0

    def url(self, path, secure=False):
        place = f"https://localhost:{self.https}" if secure else f"http://127.0.0.1:{self.http}"
        return place + path

    def destroy(self):
        self.process.destroy()

    def story(self):
        return self.process.story()
