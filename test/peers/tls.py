"""
tls: a local authority and what it signs, made with openssl.
"""
import os
import ssl
import subprocess

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def _openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)


def _kind(name):
    return "IP" if name.replace(".", "").isdigit() or ":" in name else "DNS"


class Authority:
    def __init__(self, folder, name="authority"):
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        self.ca_file = os.path.join(folder, f"{name}.pem")
        self._key = os.path.join(folder, f"{name}.key")
        _openssl(
            "req", "-x509", *NEW_KEY, "-days", "7",
            "-subj", f"/CN=Fetchback test {name}", "-keyout", self._key, "-out", self.ca_file,
        )

    def certificate(self, *names):
        """(certificate, key): file names of one that is good for these names and addresses."""
        base = os.path.join(self.folder, names[0].replace("*", "any").replace(":", "-"))
        alternatives = ",".join(f"{_kind(name)}:{name}" for name in names)
        with open(base + ".ext", "w") as extensions:
            extensions.write(f"subjectAltName={alternatives}\n")
        _openssl(
            "req", "-new", *NEW_KEY,
            "-subj", f"/CN={names[0]}", "-keyout", base + ".key", "-out", base + ".csr",
        )
        _openssl(
            "x509", "-req", "-in", base + ".csr", "-CA", self.ca_file, "-CAkey", self._key,
            "-CAcreateserial", "-days", "7", "-extfile", base + ".ext", "-out", base + ".pem",
        )
        return base + ".pem", base + ".key"

    def context(self, *names):
        """For a Peer that speaks as these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificate(*names))
        return context
