//! What a TLS connection trusts.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Certificate authorities that are trusted beside the public ones.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Authorities(Vec<CertificateDer<'static>>);

/// Why a text holds no authorities.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// What stands between its marks is no base64, or a mark is missing.
    #[error("it is no valid PEM: {0}")]
    Pem(pem::Error),
    /// There is no `BEGIN CERTIFICATE` in it.
    #[error("there is no certificate in it; a PEM file with BEGIN CERTIFICATE is expected")]
    Empty,
    /// One of them is none.
    #[error("certificate {number} in it is not usable: {reason}")]
    Certificate { number: usize, reason: Error },
}

// === impl Authorities ===

impl Authorities {
    /// All certificates of a PEM bundle; every one of them has to be usable.
    pub fn from_pem(bundle: &[u8]) -> Result<Authorities, AuthoritiesError> {
        let mut certificates = Vec::new();
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle) {
            let certificate = certificate.map_err(AuthoritiesError::Pem)?;
            store.add(certificate.clone()).map_err(|reason| AuthoritiesError::Certificate {
                number: certificates.len() + 1,
                reason,
            })?;
            certificates.push(certificate);
        }
        if certificates.is_empty() {
            return Err(AuthoritiesError::Empty);
        }
        Ok(Authorities(certificates))
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Authorities({})", self.0.len())
    }
}

/// TLS 1.2 and 1.3 towards servers whose certificate is from these or from public authorities; or
/// whatever certificate they show.
pub fn config(authorities: &Authorities, any_certificate: bool) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    // Only a provider without a suite for these versions could fail here, and ring has them.
    let Ok(builder) = builder.with_protocol_versions(&versions) else {
        unreachable!("ring supports TLS 1.2 and 1.3")
    };
    if any_certificate {
        let verifier = Arc::new(AnyCertificate(provider));
        return builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
    }
    builder.with_root_certificates(roots(authorities)).with_no_client_auth()
}

fn roots(authorities: &Authorities) -> RootCertStore {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // Each was added to a store before: none is refused here.
    roots.add_parsable_certificates(authorities.0.iter().cloned());
    roots
}

/// Accepts whatever certificate comes; the handshake itself must still be sound.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use bytes::Bytes;
    use http::Request;
    use http_body_util::Full;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;
    use crate::client::{Client, ClientError};

    const AUTHORITY: &[u8] = include_bytes!("testing/authority.pem");
    const CERTIFICATE: &[u8] = include_bytes!("testing/localhost.pem");
    const KEY: &[u8] = include_bytes!("testing/localhost.key");

    /// Answers connections one after the other until the test ends; gives its port.
    fn serve() -> u16 {
        let provider = Arc::new(ring::default_provider());
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
        let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, stream.unwrap());
                // A client that does not trust us leaves in the handshake.
                if stream.read(&mut [0; 4096]).is_ok() {
                    let answer =
                        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
                    let _ = stream.write_all(answer.as_bytes());
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
        });
        port
    }

    async fn ask(port: u16, authorities: Authorities) -> Result<Bytes, ClientError> {
        let client = Client::new(crate::client::ClientConfig { authorities, ..Default::default() });
        let mut request = Request::new(Full::default());
        *request.uri_mut() = format!("https://localhost:{port}/").parse().unwrap();
        Ok(client.fetch(request).await?.into_body())
    }

    #[tokio::test]
    async fn a_bundle_is_trusted_and_nothing_else_is() {
        let port = serve();
        let refused = ask(port, Authorities::default()).await.unwrap_err();
        assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
        let trusted = ask(port, Authorities::from_pem(AUTHORITY).unwrap()).await.unwrap();
        assert_eq!(trusted, "hi");
    }

    #[test]
    fn a_bundle_stands_beside_the_public_authorities() {
        let own = Authorities::from_pem(AUTHORITY).unwrap();
        assert_eq!(roots(&own).len(), webpki_roots::TLS_SERVER_ROOTS.len() + 1);
    }

    #[test]
    fn a_bundle_that_is_none_says_why() {
        let error = |bundle: &[u8]| Authorities::from_pem(bundle).unwrap_err().to_string();
        assert!(error(b"").contains("no certificate"));
        assert!(error(KEY).contains("no certificate"));
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(error(&[AUTHORITY, broken].concat()).contains("certificate 2"));
        assert_eq!(Authorities::from_pem(AUTHORITY).unwrap().0.len(), 1);
    }
}
