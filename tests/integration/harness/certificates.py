"""Certificates for tests, made with the openssl program: an authority and what it signs, as PEM files."""
import os
import subprocess
import tempfile


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Certificate:
    def __init__(self, folder, name):
        self.chain, self.key = os.path.join(folder, f"{name}.pem"), os.path.join(folder, f"{name}.key")


class Authority:
    """A CA in a folder of its own; `issue` makes a certificate for some names."""

    def __init__(self, name="Test CA", folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix="wye-ca-")
        os.chmod(self.folder, 0o755)
        self.count, self.ca, self.is_root = 0, Certificate(self.folder, "ca"), True
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj", f"/CN={name}", "-keyout", self.ca.key, "-out", self.ca.chain)

    @property
    def path(self):
        return self.ca.chain

    def delegate(self, name="Intermediate CA"):
        """An authority signed by this one; what it issues has its own certificate behind it."""
        made = Authority(name)
        made.is_root = False
        request, extensions = os.path.join(made.folder, "request"), os.path.join(made.folder, "extensions")
        with open(extensions, "w") as file:
            file.write("basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n")
        openssl("req", "-new", "-key", made.ca.key, "-subj", f"/CN={name}", "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.ca.chain, "-CAkey", self.ca.key, "-CAcreateserial",
                "-days", "30", "-extfile", extensions, "-out", made.ca.chain)
        return made

    def issue(self, *names, key="ec", days=30, subject=None):
        """`names` are DNS names or IP addresses; days < 0: expired that long ago."""
        self.count += 1
        made = Certificate(self.folder, f"{self.count}")
        request, extensions = os.path.join(self.folder, "request"), os.path.join(self.folder, "extensions")
        kind = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if key == "ec" else ["rsa:2048"]
        with open(extensions, "w") as file:
            parts = [f"IP:{name}" if name.replace(".", "").isdigit() else f"DNS:{name}" for name in names]
            file.write(("subjectAltName=" + ",".join(parts) + "\n") if parts else "")
            file.write("extendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n")
        openssl("req", "-newkey", *kind, "-nodes", "-subj", subject or f"/CN={names[0] if names else 'nobody'}",
                "-keyout", made.key, "-out", request)
        if days > 0:
            openssl("x509", "-req", "-in", request, "-CA", self.ca.chain, "-CAkey", self.ca.key, "-CAcreateserial",
                    "-days", str(days), "-extfile", extensions, "-out", made.chain)
        else:
            self._sign_with_dates(request, extensions, made, "20200101000000Z", "20210101000000Z")
        if not self.is_root:
            with open(made.chain, "a") as chain, open(self.ca.chain) as own:
                chain.write(own.read())
        os.chmod(made.key, 0o644)
        return made

    def _sign_with_dates(self, request, extensions, made, begin, end):
        """`openssl x509` knows no dates in the past; `openssl ca` does, and wants a database."""
        database = os.path.join(self.folder, f"database-{self.count}")
        config = os.path.join(self.folder, f"ca-{self.count}.conf")
        open(database, "w").close()
        with open(config, "w") as file:
            file.write(f"[ca]\ndefault_ca=c\n[c]\ndatabase={database}\nserial={database}.serial\n"
                       f"new_certs_dir={self.folder}\ndefault_md=sha256\npolicy=p\nrand_serial=yes\n"
                       "[p]\ncommonName=supplied\n")
        openssl("ca", "-batch", "-config", config, "-in", request, "-cert", self.ca.chain, "-keyfile", self.ca.key,
                "-startdate", begin, "-enddate", end, "-extfile", extensions, "-notext", "-out", made.chain)
