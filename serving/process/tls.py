"""TLS for both protocols, of one SSLConfig file as TF Serving reads it for gRPC."""

import dataclasses
import os
import ssl
import tempfile

import grpc

from keras_attn.serving.protos import SSLConfig, read_text_proto


@dataclasses.dataclass(frozen=True)
class Tls:
    """A server's key and certificates, PEM.

    Args:
        key: The private key.
        certificate: The chain.
        custom_ca: Certificates of the authority that clients' certificates must come from.
        client_verify: Whether a client must show a certificate.
    """

    key: bytes
    certificate: bytes
    custom_ca: bytes
    client_verify: bool

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """What a gRPC port is opened with."""
        return grpc.ssl_server_credentials(
            [(self.key, self.certificate)],
            root_certificates=self.custom_ca or None,
            require_client_auth=self.client_verify,
        )

    def ssl_context(self) -> ssl.SSLContext:
        """What HTTPS is spoken with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Python reads a key from a file only: one that nobody else can read, and that goes again.
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.key.rstrip() + b"\n" + self.certificate)
            file.flush()
            context.load_cert_chain(file.name)
        if self.custom_ca:
            context.load_verify_locations(cadata=self.custom_ca.decode())
        if self.client_verify:
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def read_tls(path: str | os.PathLike[str]) -> Tls:
    """Returns what a file in the text format of SSLConfig holds; ValueError where it is wrong."""
    config = read_text_proto(path, SSLConfig())
    tls = Tls(
        key=config.server_key.encode(),
        certificate=config.server_cert.encode(),
        custom_ca=config.custom_ca.encode(),
        client_verify=config.client_verify,
    )
    try:
        tls.ssl_context()
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(
            f"`ssl_config_file` must hold a PEM key and its certificate. Received: "
            f"{os.fspath(path)}, which fails with: {error}"
        ) from error
    return tls
