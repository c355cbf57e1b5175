"""Runs another program's module with every host name resolving to the replica: python redirected.py PORT module [arguments].

The program itself is untouched: only the answer of the name service changes. Trust in the test CA comes by SSL_CERT_FILE.
"""

import runpy
import socket
import sys

port, module = int(sys.argv[1]), sys.argv[2]


def getaddrinfo(host, service, family=0, kind=0, proto=0, flags=0):
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


socket.getaddrinfo = getaddrinfo
sys.argv = [module, *sys.argv[3:]]
runpy.run_module(module, run_name="__main__", alter_sys=True)
