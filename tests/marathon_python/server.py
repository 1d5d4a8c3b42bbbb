"""A web server that answers with its argument on the port it was given.

As long as there is a file of the path it is asked for, it says that it is broken.
"""

import http.server
import os
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = sys.argv[1].encode()
        broken = self.path != '/' and os.path.exists(self.path)
        self.send_response(500 if broken else 200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


http.server.ThreadingHTTPServer(('', int(os.environ['PORT0'])), Handler).serve_forever()
