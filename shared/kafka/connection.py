"""How every client reaches the broker, and why it cannot: each reason has its words and its way out."""

import asyncio
import ssl
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from shared.errors import ConfigurationError, TransientError
from shared.settings import KafkaSecurity, Settings

PROBE_SECONDS = 5.0
SECURITY = "HEADRACE_KAFKA_SECURITY__"
REFUSED_CREDENTIALS = (
    SaslAuthenticationFailed,
    AuthenticationFailedError,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
)


def connection(settings: Settings) -> dict[str, Any]:  # Any: aiokafka's keyword arguments
    """Return the keyword arguments with which every aiokafka client reaches the broker.

    Raises `ConfigurationError` when a certificate file cannot be used.
    """
    security = settings.kafka_security
    arguments: dict[str, Any] = {"bootstrap_servers": settings.kafka}  # Any: as above
    if security.tls:
        arguments |= {"security_protocol": "SSL", "ssl_context": _tls_context(security)}
    if security.sasl_mechanism:
        arguments |= {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": security.sasl_mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": security.password.get_secret_value(),
        }
    return arguments


def _tls_context(security: KafkaSecurity) -> ssl.SSLContext:
    file = security.ca_file
    try:
        context = ssl.create_default_context(cafile=file)
        if file := security.certificate_file:
            context.load_cert_chain(file, security.key_file)
    except OSError as error:  # a missing file, or one that is no certificate
        raise ConfigurationError(f"kafka_security: {file} cannot be used: {error}") from error
    return context


def no_broker(settings: Settings) -> TransientError:
    """Return the error for a broker that does not answer."""
    return TransientError(
        f"no broker answers at {settings.kafka}",
        cause="kafka.away",
        fix="start one (`headrace up`), or set HEADRACE_KAFKA",
    )


def silent(settings: Settings) -> TransientError:
    """Return the error for what takes connections, or packets, and answers nothing."""
    return TransientError(
        f"what listens at {settings.kafka} does not answer as a broker does",
        cause="kafka.silent",
        fix="look whether the broker is stuck, or set HEADRACE_KAFKA",
    )


async def unreachable(settings: Settings) -> TransientError:
    """Return why no client of ours reaches the broker, asking each bootstrap server once more.

    aiokafka itself says of all of it that it is unable to bootstrap.
    """
    for host, port, _ in collect_hosts(settings.kafka):
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                reason = await _refusal(settings, host, port)
        except TimeoutError:
            continue
        if reason is not None:
            return reason
    return no_broker(settings)


async def _refusal(settings: Settings, host: str, port: int) -> TransientError | None:
    """Return what keeps us from this server; None: nothing does, or nobody is there."""
    where, user = f"{host}:{port}", settings.kafka_security.username
    arguments = connection(settings)
    del arguments["bootstrap_servers"]
    try:
        (await create_conn(host, port, **arguments)).close()
    except ssl.SSLCertVerificationError as error:
        return TransientError(
            f"the broker at {where} shows a certificate that is not trusted: {error.verify_message}",
            cause="kafka.certificate",
            fix=f"name its authority in {SECURITY}CA_FILE, and the broker as the certificate does",
        )
    except REFUSED_CREDENTIALS as error:
        return TransientError(
            f"the broker at {where} refuses user {user!r} or its password: {error}",
            cause="kafka.credentials",
            fix=f"set {SECURITY}USERNAME, PASSWORD and SASL_MECHANISM as the broker has them",
        )
    except ValueError as error:  # SCRAM: what the server proves does not fit our password
        return TransientError(
            f"the broker at {where} does not prove to know the password of {user!r}: {error}",
            cause="kafka.credentials",
            fix=f"set {SECURITY}PASSWORD, or look who answers there",
        )
    except (KafkaError, OSError):
        return await _other_protocol(settings, host, port)
    return None


async def _other_protocol(settings: Settings, host: str, port: int) -> TransientError | None:
    """Return the error of speaking TLS at a plain port, or plainly at a TLS port; None: it is neither."""
    if not await _speaks(host, port, tls=None):
        return None
    speaks_tls = await _speaks(host, port, tls=_any_certificate())
    if speaks_tls and not settings.kafka_security.tls:
        return TransientError(
            f"the broker at {host}:{port} speaks TLS, and this client does not",
            cause="kafka.tls",
            fix=f"set {SECURITY}TLS=true",
        )
    if settings.kafka_security.tls and not speaks_tls:
        return TransientError(
            f"the broker at {host}:{port} speaks no TLS, and this client does",
            cause="kafka.tls",
            fix=f"name its TLS port in HEADRACE_KAFKA, or set {SECURITY}TLS=false",
        )
    return None


async def _speaks(host: str, port: int, *, tls: ssl.SSLContext | None) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=tls)
    except OSError:  # ssl.SSLError is one
        return False
    writer.close()
    return True


def _any_certificate() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
