//! Bearer tokens: the key pair, signing and reading.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{
    KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Seconds that a token is good for.
pub const LIFETIME: u64 = 1800;

/// A key pair that signs tokens, and the certificate that a registry verifies them with.
pub struct TokenKey {
    pair: RsaKeyPair,
    id: String,
    /// The self-signed certificate's file.
    pub certificate: PathBuf,
    /// Seconds by which the clock is ahead that tokens are dated by.
    pub clock: i64,
}

impl TokenKey {
    /// Makes a new pair, `private_key.pem` and `private_key.crt`, and returns the key's path.
    pub fn generate(directory: &Path) -> io::Result<PathBuf> {
        let key = directory.join("private_key.pem");
        openssl(
            &[
                "genpkey",
                "-algorithm",
                "RSA",
                "-pkeyopt",
                "rsa_keygen_bits:2048",
            ],
            &key,
        )?;
        certify(&key)?;
        Ok(key)
    }

    /// Reads a key; makes its certificate (`.crt` beside it) if there is none.
    pub fn load(path: &Path) -> io::Result<Self> {
        let pem = std::fs::read_to_string(path)?;
        let inner: String = pem
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .collect();
        let der = STANDARD.decode(inner).map_err(io::Error::other)?;
        let pair = RsaKeyPair::from_pkcs8(&der)
            .or_else(|_| RsaKeyPair::from_der(&der))
            .map_err(|rejected| io::Error::other(rejected.to_string()))?;
        let certificate = path.with_extension("crt");
        if !certificate.exists() {
            certify(path)?;
        }
        let id = fingerprint(pair.public().as_ref());
        Ok(Self {
            pair,
            id,
            certificate,
            clock: 0,
        })
    }

    /// A signed token. `subject` is absent for anonymous ones.
    pub fn sign(&self, subject: Option<&str>, access: &Value) -> String {
        let now = self.seconds();
        let kid = &self.id;
        let header = format!(r#"{{"alg":"RS256","kid":"{kid}","typ":"JWT"}}"#);
        let subject = subject.map_or(String::new(), |s| format!(r#""sub":{},"#, json!(s)));
        let id: String = (0..16).map(|_| fastrand::alphanumeric()).collect();
        let claims = format!(
            r#"{{"iss":"harbor-token-issuer",{subject}"aud":"harbor-registry","exp":{},"nbf":{now},"iat":{now},"jti":"{id}","access":{access}}}"#,
            now + LIFETIME
        );
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let mut signature = vec![0; self.pair.public().modulus_len()];
        let random = ring::rand::SystemRandom::new();
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &random,
                signed.as_bytes(),
                &mut signature,
            )
            .expect("the key signs");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The claims of a token that this key signed and that is still good.
    pub fn verify(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.pair.public().as_ref())
            .verify(signed.as_bytes(), &signature)
            .ok()?;
        let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        let good = claims["aud"] == "harbor-registry"
            && claims["exp"].as_u64()? + 60 > self.seconds()
            && claims["nbf"].as_u64()? <= self.seconds() + 60;
        good.then_some(claims)
    }

    fn seconds(&self) -> u64 {
        super::time::shifted(self.clock)
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs())
    }
}

fn certify(key: &Path) -> io::Result<()> {
    let certificate = key.with_extension("crt");
    let key = key.to_string_lossy();
    openssl(
        &[
            "req",
            "-x509",
            "-new",
            "-days",
            "3650",
            "-subj",
            "/CN=harbor-token-issuer",
            "-key",
            &key,
        ],
        &certificate,
    )
}

fn openssl(arguments: &[&str], output: &Path) -> io::Result<()> {
    let status = Command::new("openssl")
        .args(arguments)
        .arg("-out")
        .arg(output)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other("openssl failed"))
    }
}

/// The registry's name for a key: twelve groups of four letters made of the public key's SHA-256 (libtrust).
fn fingerprint(pkcs1: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let hash = Sha256::digest(public_key_info(pkcs1));
    let letters: Vec<u8> = hash[..30]
        .chunks(5)
        .flat_map(|five| {
            let bits = five
                .iter()
                .fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
            (0..8)
                .rev()
                .map(move |i| ALPHABET[(bits >> (i * 5) & 31) as usize])
        })
        .collect();
    let groups: Vec<_> = letters.chunks(4).map(String::from_utf8_lossy).collect();
    groups.join(":")
}

/// RFC 5280 SubjectPublicKeyInfo around an RFC 8017 RSAPublicKey.
fn public_key_info(pkcs1: &[u8]) -> Vec<u8> {
    const RSA: &[u8] = &[
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    let bits = der(0x03, &[&[0], pkcs1].concat());
    der(0x30, &[RSA, &bits].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut all = vec![tag];
    match length {
        0..128 => all.push(length as u8),
        128..256 => all.extend([0x81, length as u8]),
        _ => all.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    all.extend_from_slice(content);
    all
}

/// `type:name:actions` of a `scope` parameter; names may hold colons.
pub struct Scope {
    pub kind: String,
    pub name: String,
    pub actions: Vec<String>,
}

/// All scopes of a token request: several parameters, or several in one, parted by blanks.
pub fn scopes(parameters: &[(String, String)]) -> Vec<Scope> {
    parameters
        .iter()
        .filter(|(name, _)| name == "scope")
        .flat_map(|(_, value)| value.split(' '))
        .filter_map(|scope| {
            let (kind, rest) = scope.split_once(':')?;
            let (name, actions) = rest.rsplit_once(':')?;
            Some(Scope {
                kind: kind.to_owned(),
                name: name.to_owned(),
                actions: actions.split(',').map(str::to_owned).collect(),
            })
        })
        .collect()
}
