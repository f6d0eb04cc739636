//! Azure Key Vault and Google Cloud KMS, which nobody can run here: their clients, with answers in place of the services
//! that are written after their documentation. What is to be wrapped is turned, and turned back to open it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use azure_core::Bytes;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::http::headers::{AUTHORIZATION, Headers, WWW_AUTHENTICATE};
use azure_core::http::{AsyncRawResponse, ClientOptions, HttpClient, Method, Request, StatusCode, Transport};
use azure_core::time::{Duration, OffsetDateTime};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use google_cloud_auth::credentials::anonymous;
use serde_json::{Value as Json, json};
use stackkit::seal::{KeyKind, KeyProvider, NamedKey, SealError, WrappedKey};
use stackkit_azure::{KeyVault, KeyVaultKey};
use stackkit_google::{CloudKms, CloudKmsKey};

fn turned(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ 0x5a).collect()
}

/// Keys of Key Vault.
pub struct WrittenKeyVault;

impl KeyKind for WrittenKeyVault {
    const KIND: &'static str = KeyVault::KIND;

    fn named(name: &str, _: &Path) -> Result<Vec<NamedKey>, SealError> {
        Ok(vec![NamedKey::new(of_vault(name)?)])
    }

    fn of(wrapped: &WrappedKey) -> Result<Arc<dyn KeyProvider>, SealError> {
        Ok(Arc::new(of_vault(&wrapped.id)?))
    }
}

fn of_vault(url: &str) -> Result<KeyVaultKey, SealError> {
    let options = ClientOptions { transport: Some(Transport::new(Arc::new(Vault))), ..ClientOptions::default() };
    Ok(KeyVaultKey::parse(url)?.with_credential(Arc::new(Token), options))
}

/// What stands in the place of the network.
#[derive(Debug)]
struct Vault;

#[async_trait]
impl HttpClient for Vault {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut headers = Headers::new();
        if request.headers().get_optional_str(&AUTHORIZATION).is_none() {
            let challenge = "Bearer authorization=\"https://login.microsoftonline.com/tenant\", resource=\"https://vault.azure.net\"";
            headers.insert(WWW_AUTHENTICATE, challenge);
            return Ok(AsyncRawResponse::from_bytes(StatusCode::Unauthorized, headers, Bytes::new()));
        }
        headers.insert("content-type", "application/json");
        let kid = "https://acme.vault.azure.net/keys/infra/00000000000000000000000000000001";
        let answer = if request.method() == Method::Get {
            json!({
                "key": { "kid": kid, "kty": "RSA", "key_ops": ["wrapKey", "unwrapKey"], "n": "AQAB", "e": "AQAB" },
                "attributes": { "enabled": true },
            })
        } else {
            let body: Json = serde_json::from_slice(&Bytes::from(request.body()))?;
            let value = body["value"].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).unwrap_or_default();
            json!({ "kid": kid, "value": URL_SAFE_NO_PAD.encode(turned(&value)) })
        };
        Ok(AsyncRawResponse::from_bytes(StatusCode::Ok, headers, answer.to_string().into_bytes()))
    }
}

#[derive(Debug)]
struct Token;

#[async_trait]
impl TokenCredential for Token {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        Ok(AccessToken::new("a-token", OffsetDateTime::now_utc() + Duration::hours(1)))
    }
}

/// Keys of Cloud KMS.
pub struct WrittenCloudKms;

impl KeyKind for WrittenCloudKms {
    const KIND: &'static str = CloudKms::KIND;

    fn named(name: &str, _: &Path) -> Result<Vec<NamedKey>, SealError> {
        Ok(vec![NamedKey::new(of_kms(name)?)])
    }

    fn of(wrapped: &WrappedKey) -> Result<Arc<dyn KeyProvider>, SealError> {
        Ok(Arc::new(of_kms(&wrapped.id)?))
    }
}

fn of_kms(name: &str) -> Result<CloudKmsKey, SealError> {
    Ok(CloudKmsKey::parse(name)?.with_endpoint(kms(), anonymous::Builder::new().build()))
}

/// The address of a server in this process that plays the service.
fn kms() -> &'static str {
    static ENDPOINT: OnceLock<String> = OnceLock::new();
    ENDPOINT.get_or_init(|| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("its address");
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(answer(stream))));
        format!("http://{address}")
    })
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut target, mut length) = (String::new(), 0);
    reader.read_line(&mut target)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body: Json = serde_json::from_slice(&body)?;
    let bytes = |field: &str| body[field].as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    let sum = |bytes: &[u8]| crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(bytes).to_string();
    let path = target.split_whitespace().nth(1).unwrap_or_default();
    let answer = match path.strip_prefix("/v1/").and_then(|path| path.split_once(':')) {
        Some((name, "encrypt")) => {
            let sealed = turned(&bytes("plaintext"));
            json!({
                "name": format!("{name}/cryptoKeyVersions/1"),
                "ciphertext": STANDARD.encode(&sealed),
                "ciphertextCrc32c": sum(&sealed),
                "verifiedPlaintextCrc32c": true,
                "verifiedAdditionalAuthenticatedDataCrc32c": true,
            })
        }
        _ => {
            let plain = turned(&bytes("ciphertext"));
            json!({ "plaintext": STANDARD.encode(&plain), "plaintextCrc32c": sum(&plain) })
        }
    }
    .to_string();
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", answer.len())?;
    write!(stream, "connection: close\r\n\r\n{answer}")
}
