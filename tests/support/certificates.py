"""Certificates whose time is over."""

import subprocess
from pathlib import Path

from support.smtp import Certificate, make_certificate

CONFIGURATION = """
[ca]
default_ca = ours
[ours]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = anybody
x509_extensions = names
[anybody]
commonName = supplied
[names]
subjectAltName = IP:127.0.0.1,DNS:localhost
"""

LONG_AGO = ("-startdate", "20200101000000Z", "-enddate", "20200102000000Z")


def make_expired_certificate(folder: Path) -> Certificate:
    """Make a self-signed certificate that was valid for one day. Skips the test where there is no openssl."""
    made = make_certificate(folder)
    for name, content in (("ca.conf", CONFIGURATION), ("index.txt", ""), ("serial", "01")):
        (folder / name).write_text(content)
    _openssl(folder, "req", "-new", "-key", made.key.name, "-subj", "/CN=localhost", "-out", "request.pem")
    signing = ("-selfsign", "-keyfile", made.key.name, "-in", "request.pem", "-out", made.certificate.name)
    _openssl(folder, "ca", "-batch", "-notext", "-config", "ca.conf", *LONG_AGO, *signing)
    return made


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S607 - on the path
