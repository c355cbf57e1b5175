"""A certificate authority for tests only: made once per state folder, it vouches for the platforms' names on this machine."""

from __future__ import annotations

import base64
import datetime
import hashlib
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DOMAINS = (
    "tiktok.com",
    "tiktokv.com",
    "tiktokcdn.com",
    "douyin.com",
    "iesdouyin.com",
    "douyinvod.com",
    "douyinpic.com",
    "snssdk.com",
    "kuaishou.com",
    "chenzhongtech.com",
    "m.chenzhongtech.com",
    "kwaicdn.com",
    "a.kwimgs.com",
    "kwimgs.com",
    "gifshow.com",
)
LIFETIME = datetime.timedelta(days=365)


def ensure(folder: Path) -> None:
    """Leaves ca.pem and server.pem (key, certificate, authority) in the folder; makes both anew when one is missing or near its end."""
    authority, server = folder / "ca.pem", folder / "server.pem"
    if authority.exists() and server.exists() and is_fresh(authority):
        return
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "eMotions replica test CA (never trust outside tests)")])
    ca = authority_certificate(ca_name, ca_key, now)
    leaf = server_certificate(ca, ca_key, key, now)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write(server, secret + leaf.public_bytes(pem) + ca.public_bytes(pem), mode=0o600)
    write(authority, ca.public_bytes(pem), mode=0o644)


def authority_certificate(name: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime.datetime) -> x509.Certificate:
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    return (
        draft(name, name, key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def server_certificate(
    ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, key: ec.EllipticCurvePrivateKey, now: datetime.datetime
) -> x509.Certificate:
    names = [x509.DNSName(name) for domain in DOMAINS for name in (domain, f"*.{domain}")]
    return (
        draft(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "platform replica")]), ca.subject, key, now)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def draft(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime.datetime) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return (
        builder.serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + LIFETIME)
    )


def is_fresh(path: Path) -> bool:
    left = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return left > datetime.timedelta(days=30)


def spki_pin(ca_pem: Path) -> str:
    """What Chromium's --ignore-certificate-errors-spki-list wants: base64 of SHA-256 of the authority's public key."""
    key = x509.load_pem_x509_certificate(ca_pem.read_bytes()).public_key()
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


def write(path: Path, content: bytes, *, mode: int) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.touch(mode=mode)
    part.write_bytes(content)
    part.replace(path)
