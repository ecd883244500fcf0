//! `provenance verify`: checks a file or an image against signed statements, with nothing but these and public keys.

use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Session;
use crate::api::with_query;
use crate::args::{Global, InProject, Provenance, RunOf};
use crate::failure::{Failure, Result};

const PAYLOAD: &str = "application/vnd.in-toto+json";

pub(super) async fn run(command: Provenance, global: &Global) -> Result {
    let Provenance::Verify { file, image, bundle, keys, run, of, builder, commit } = command;
    let session = Session::open(global)?;
    let base = session.api.base().to_owned();
    let (what, digest) = match (&file, &image) {
        (_, Some(image)) => (image.clone(), digest_of_image(&session, &of, image).await?),
        (Some(file), None) => (file.display().to_string(), digest_of(file)?),
        (None, None) => return Err(Failure::Usage("a file or --image".into())),
    };
    let envelopes = match &bundle {
        Some(path) => envelopes(read_json(path)?),
        None if image.is_some() => {
            let path = format!("/projects/{}/provenance", session.project(&of)?);
            envelopes(session.api.get(&with_query(&path, [("digest", Some(format!("sha256:{digest}").as_str()))])).await?)
        }
        None => {
            let run = session.run(&RunOf { run, of }).await?;
            session.api.list(&format!("/runs/{run}/provenance"), usize::MAX).await?.into_iter().map(|p| p["envelope"].clone()).collect()
        }
    };
    let keys: Value = match &keys {
        Some(path) => read_json(path)?,
        None => session.api.get("/provenance/keys").await?,
    };
    // with keys of one's own, any server may be meant
    let builder = builder.unwrap_or_else(|| format!("{base}/builders/pipeline"));
    let statement = verify(&envelopes, &keys, &digest, &builder, commit.as_deref()).map_err(Failure::Failed)?;
    let shown = json!({
        "file": what, "digest": format!("sha256:{digest}"), "builder": builder,
        "commit": commit_of(&statement), "workflow": statement["predicate"]["buildDefinition"]["externalParameters"]["workflow"],
        "run": statement["predicate"]["runDetails"]["metadata"]["invocationId"],
    });
    session.format.show(&shown, |v| {
        let text = |pointer: &str| v.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        format!(
            "{} is what it claims to be\n  digest    {}\n  builder   {}\n  source    {} at {}\n  commit    {}\n  workflow  {}\n  run       {}",
            what,
            text("/digest"),
            text("/builder"),
            text("/workflow/repository"),
            text("/workflow/ref"),
            text("/commit"),
            text("/workflow/path"),
            text("/run")
        )
    })
}

/// The digest of an image's manifest, asked of the server when only a tag is given.
async fn digest_of_image(session: &Session, of: &InProject, image: &str) -> Result<String> {
    let hex = |digest: &str| digest.strip_prefix("sha256:").map(str::to_owned);
    let unreadable = || Failure::Usage(format!("`{image}` is no NAME:TAG and no NAME@sha256:…"));
    if let Some(digest) = hex(image).or_else(|| hex(image.rsplit_once('@')?.1)) {
        return Ok(digest);
    }
    let (name, tag) = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).ok_or_else(unreadable)?;
    let path = with_query(&format!("/projects/{}/images/tags", session.project(of)?), [("name", Some(name))]);
    let tags = session.api.list(&path, usize::MAX).await?;
    let found = tags.iter().find(|t| t["tag"] == tag).and_then(|t| hex(t["digest"].as_str()?));
    found.ok_or_else(|| Failure::Failed(format!("there is no image `{image}`")))
}

fn digest_of(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path).map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 256 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

fn read_json(path: &Path) -> Result<Value> {
    let bad = |e: String| Failure::Usage(format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
    serde_json::from_str(&text).map_err(|e| bad(e.to_string()))
}

/// One envelope, a list of them, or what the server lists.
fn envelopes(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.into_iter().flat_map(envelopes).collect(),
        Value::Object(mut map) => {
            if let Some(items) = map.remove("items") {
                envelopes(items)
            } else if let Some(envelope) = map.remove("envelope") {
                vec![envelope]
            } else {
                vec![Value::Object(map)]
            }
        }
        _ => Vec::new(),
    }
}

fn commit_of(statement: &Value) -> &Value {
    &statement["predicate"]["buildDefinition"]["resolvedDependencies"][0]["digest"]["gitCommit"]
}

/// The statement about a file with this digest, after everything was checked; else why there is none.
fn verify(envelopes: &[Value], keys: &Value, digest: &str, builder: &str, commit: Option<&str>) -> Result<Value, String> {
    let mut why = "there is no statement".to_owned();
    for envelope in envelopes {
        match checked(envelope, keys) {
            Ok(statement) if !is_about(&statement, digest) => {
                why = format!("no statement is about a file with the digest sha256:{digest}");
            }
            Ok(statement) => {
                let found = statement["predicate"]["runDetails"]["builder"]["id"].as_str().unwrap_or_default();
                if found != builder {
                    return Err(format!("it was built by {found}, not by {builder}"));
                }
                let source = commit_of(&statement).as_str().unwrap_or_default();
                if let Some(commit) = commit.filter(|c| c.len() < 7 || !source.starts_with(*c)) {
                    return Err(format!("it was built from the commit {source}, not from {commit}"));
                }
                return Ok(statement);
            }
            Err(error) => why = error,
        }
    }
    Err(why)
}

fn is_about(statement: &Value, digest: &str) -> bool {
    statement["subject"].as_array().into_iter().flatten().any(|s| s["digest"]["sha256"] == digest)
}

/// The statement in an envelope that one of the keys has signed.
fn checked(envelope: &Value, keys: &Value) -> Result<Value, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if envelope["payloadType"] != PAYLOAD {
        return Err(format!("it holds no in-toto statement but `{}`", text(&envelope["payloadType"])));
    }
    let payload = STANDARD.decode(text(&envelope["payload"])).map_err(|e| format!("the payload cannot be read: {e}"))?;
    let head = format!("DSSEv1 {} {PAYLOAD} {} ", PAYLOAD.len(), payload.len());
    let signed = [head.as_bytes(), &payload].concat();
    let good = envelope["signatures"].as_array().into_iter().flatten().any(|signature| {
        let Ok(bytes) = STANDARD.decode(text(&signature["sig"])) else { return false };
        let known = keys["keys"].as_array().into_iter().flatten().filter(|k| k["kid"] == signature["keyid"]);
        known.filter_map(point).any(|key| UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(&signed, &bytes).is_ok())
    });
    if !good {
        return Err("no known key has signed the statement as it is".into());
    }
    let statement: Value = serde_json::from_slice(&payload).map_err(|e| format!("the statement cannot be read: {e}"))?;
    if statement["_type"] != "https://in-toto.io/Statement/v1" || statement["predicateType"] != "https://slsa.dev/provenance/v1" {
        return Err("it is no statement about provenance".into());
    }
    Ok(statement)
}

/// The point of a JSON web key on P-256.
fn point(key: &Value) -> Option<Vec<u8>> {
    if key["kty"] != "EC" || key["crv"] != "P-256" {
        return None;
    }
    let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok().filter(|b| b.len() == 32);
    Some([&[4][..], &part("x")?, &part("y")?].concat())
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

    use super::*;

    fn signed(digest: &str) -> (Value, Value) {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).unwrap();
        let public = pair.public_key().as_ref();
        let half = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&public[range]);
        let keys = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "x": half(1..33), "y": half(33..65)}]});
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
            "subject": [{"name": "a", "digest": {"sha256": digest}}],
            "predicate": {
                "buildDefinition": {"resolvedDependencies": [{"digest": {"gitCommit": "abcdef0123"}}]},
                "runDetails": {"builder": {"id": "http://x/builders/pipeline"}},
            },
        });
        let payload = statement.to_string();
        let message = format!("DSSEv1 {} {PAYLOAD} {} {payload}", PAYLOAD.len(), payload.len());
        let signature = pair.sign(&random, message.as_bytes()).unwrap();
        let envelope = json!({
            "payloadType": PAYLOAD, "payload": STANDARD.encode(payload), "signatures": [{"keyid": "k", "sig": STANDARD.encode(signature)}],
        });
        (envelope, keys)
    }

    #[test]
    fn everything_is_checked() {
        let (envelope, keys) = signed("11");
        let all = [envelope.clone()];
        let builder = "http://x/builders/pipeline";
        assert!(verify(&all, &keys, "11", builder, Some("abcdef0")).is_ok());
        let refused = |envelopes: &[Value], keys: &Value, digest: &str, builder: &str, commit: Option<&str>| {
            verify(envelopes, keys, digest, builder, commit).unwrap_err()
        };
        assert!(refused(&all, &keys, "12", builder, None).contains("no statement is about"));
        assert!(refused(&all, &keys, "11", "http://y/builders/pipeline", None).contains("built by"));
        assert!(refused(&all, &keys, "11", builder, Some("abcdee0")).contains("from the commit"));
        assert!(refused(&all, &keys, "11", builder, Some("abc")).contains("from the commit"));
        assert!(refused(&all, &signed("11").1, "11", builder, None).contains("no known key"));
        assert!(refused(&[], &keys, "11", builder, None).contains("no statement"));
        let mut altered = envelope;
        altered["payload"] = json!(STANDARD.encode("{}"));
        assert!(refused(&[altered], &keys, "11", builder, None).contains("no known key"));
    }

    #[test]
    fn bundles_come_in_three_shapes() {
        let one = json!({"payload": "x"});
        for shape in [one.clone(), json!([one]), json!({"items": [{"envelope": one}], "next": null})] {
            assert_eq!(envelopes(shape), std::slice::from_ref(&one));
        }
    }
}
