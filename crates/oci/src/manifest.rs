//! Manifests: what may be stored, and what a stored one refers to.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Digest;
use crate::Error;
use crate::ErrorCode;
use crate::Platform;
use crate::Result;

/// Most bytes of a manifest.
pub const MAX_MANIFEST: usize = 4 << 20;

/// Media type of an OCI index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Content that lies elsewhere and is not pushed to registries.
const FOREIGN: &[&str] = &[
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
];

/// The kinds of manifest this registry stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// OCI image (or artifact) manifest.
    OciManifest,
    /// OCI index of manifests.
    OciIndex,
    /// Docker image manifest, version 2 schema 2.
    DockerManifest,
    /// Docker manifest list.
    DockerList,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::OciManifest, Kind::OciIndex, Kind::DockerManifest, Kind::DockerList];

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Kind::OciManifest => OCI_MANIFEST,
            Kind::OciIndex => OCI_INDEX,
            Kind::DockerManifest => DOCKER_MANIFEST,
            Kind::DockerList => DOCKER_LIST,
        }
    }

    /// From a `Content-Type`, whose parameters do not count.
    pub fn parse(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        Self::ALL.into_iter().find(|k| k.media_type().eq_ignore_ascii_case(essence))
    }

    /// Does it list manifests, rather than layers?
    pub fn is_index(self) -> bool {
        matches!(self, Kind::OciIndex | Kind::DockerList)
    }
}

/// A pointer to content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// Its address.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
    /// For manifests in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// For artifacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Free notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Where else the content lies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

impl Descriptor {
    /// Content that clients do not push here.
    pub fn is_foreign(&self) -> bool {
        FOREIGN.contains(&self.media_type.as_str())
    }
}

/// The fields with a meaning; serde refuses any of them twice, so the document has one reading.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
    // only their presence matters: of other document kinds
    fs_layers: Option<Box<RawValue>>,
    blobs: Option<Box<RawValue>>,
}

/// A manifest that keeps the rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Which of the four.
    pub kind: Kind,
    /// Digest of the bytes as they came.
    pub digest: Digest,
    /// The image configuration (none in an index).
    pub config: Option<Descriptor>,
    /// The layers, lowest first (none in an index).
    pub layers: Vec<Descriptor>,
    /// The manifests of an index.
    pub manifests: Vec<Descriptor>,
    /// The manifest this one is about.
    pub subject: Option<Descriptor>,
    /// What kind of artifact it is: its own word, else the configuration's media type.
    pub artifact_type: Option<String>,
    /// Free notes.
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Manifest {
    /// Parses what a client pushes under a `Content-Type`.
    ///
    /// # Errors
    /// `MANIFEST_INVALID` for anything that could be read in two ways or not at all, `SIZE_INVALID` with status 413
    /// over the limit.
    pub fn parse(content_type: &str, bytes: &[u8]) -> Result<Self> {
        let bad = |m: String| Error::new(ErrorCode::ManifestInvalid, m);
        if bytes.len() > MAX_MANIFEST {
            return Err(Error::new(ErrorCode::SizeInvalid, "a manifest has at most 4 MiB").with_status(413));
        }
        let kind = Kind::parse(content_type).ok_or_else(|| {
            bad(format!(
                "manifests of type {:?} are not stored here; OCI image manifests and indexes and Docker version 2 schema 2 are",
                content_type.chars().take(100).collect::<String>()
            ))
        })?;
        let document: Document = serde_json::from_slice(bytes).map_err(|e| bad(format!("not a manifest: {e}")))?;
        if document.schema_version != 2 {
            return Err(bad(format!("schemaVersion is {}, not 2", document.schema_version)));
        }
        // a document must be of one kind whatever its Content-Type says (CVE-2021-41190)
        match &document.media_type {
            Some(own) if own != kind.media_type() => return Err(bad(format!("mediaType {own:?} is not the Content-Type"))),
            None if matches!(kind, Kind::DockerManifest | Kind::DockerList) => return Err(bad("mediaType is missing".into())),
            _ => {}
        }
        if document.fs_layers.is_some() || document.blobs.is_some() {
            return Err(bad("the document mixes kinds of manifest".into()));
        }
        let artifact_type = if kind.is_index() {
            if document.config.is_some() || document.layers.is_some() {
                return Err(bad("an index has no config and no layers".into()));
            }
            if document.manifests.is_none() {
                return Err(bad("an index lists manifests".into()));
            }
            document.artifact_type
        } else {
            if document.manifests.is_some() {
                return Err(bad("an image manifest lists no manifests".into()));
            }
            let (Some(config), Some(_)) = (&document.config, &document.layers) else {
                return Err(bad("an image manifest has a config and layers".into()));
            };
            document.artifact_type.filter(|t| !t.is_empty()).or_else(|| Some(config.media_type.clone()))
        };
        Ok(Self {
            kind,
            digest: Digest::of(bytes),
            config: document.config,
            layers: document.layers.unwrap_or_default(),
            manifests: document.manifests.unwrap_or_default(),
            subject: document.subject,
            artifact_type,
            annotations: document.annotations,
        })
    }

    /// Blobs that must be in the repository before this manifest may be: the configuration and all layers that are
    /// not foreign.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers).filter(|d| !d.is_foreign())
    }

    /// The entry of an index for a platform.
    pub fn for_platform(&self, here: &Platform) -> Option<&Descriptor> {
        self.manifests.iter().find(|d| d.platform.as_ref().is_some_and(|p| here.runs(p)))
    }

    /// Bytes of the image: configuration and layers.
    pub fn size(&self) -> u64 {
        self.config.iter().chain(&self.layers).fold(0, |sum, d| sum.saturating_add(d.size))
    }

    /// How it appears among the referrers of its subject.
    pub fn as_referrer(&self, size: u64) -> Descriptor {
        Descriptor {
            media_type: self.kind.media_type().to_owned(),
            digest: self.digest,
            size,
            platform: None,
            artifact_type: self.artifact_type.clone(),
            annotations: self.annotations.clone(),
            urls: Vec::new(),
        }
    }
}

/// The answer of the referrers API.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferrerIndex {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Value>,
}

impl ReferrerIndex {
    /// An index of descriptors as JSON.
    pub fn new(manifests: Vec<Value>) -> Self {
        Self { schema_version: 2, media_type: OCI_INDEX, manifests }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn descriptor(media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": Digest::of(b"x"), "size": 1 })
    }

    fn image() -> Value {
        json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor("application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip"), descriptor(FOREIGN[0])] })
    }

    fn parse(kind: &str, value: &Value) -> Result<Manifest> {
        Manifest::parse(kind, value.to_string().as_bytes())
    }

    #[test]
    fn an_image() {
        let bytes = image().to_string();
        let m = Manifest::parse(&format!("{OCI_MANIFEST}; charset=utf-8"), bytes.as_bytes()).unwrap();
        assert_eq!(m.digest, Digest::of(bytes.as_bytes()));
        assert_eq!((m.blobs().count(), m.size()), (2, 3));
        assert_eq!(m.artifact_type.as_deref(), Some("application/vnd.oci.image.config.v1+json"));
        assert_eq!(m.as_referrer(9).size, 9);
    }

    #[test]
    fn an_index() {
        let mut entry = descriptor(OCI_MANIFEST);
        entry["platform"] = json!({ "architecture": "arm64", "os": "linux" });
        let value = json!({ "schemaVersion": 2, "manifests": [entry], "unknown": { "field": [] } });
        let m = parse(OCI_INDEX, &value).unwrap();
        let arm = Platform { architecture: "arm64".into(), os: "linux".into(), variant: None };
        assert!(m.for_platform(&arm).is_some());
        assert!(m.for_platform(&Platform { architecture: "amd64".into(), ..arm }).is_none());
        assert_eq!(m.artifact_type, None);
    }

    #[test]
    fn ambiguous_and_broken_documents_are_refused() {
        let with = |key: &str, value: Value| {
            let mut v = image();
            v[key] = value;
            v
        };
        let without = |key: &str| {
            let mut v = image();
            v.as_object_mut().unwrap().shift_remove(key);
            v
        };
        let cases = [
            (OCI_MANIFEST, with("manifests", json!([]))),
            (OCI_INDEX, image()),
            (OCI_INDEX, json!({ "schemaVersion": 2, "manifests": [], "layers": [] })),
            (OCI_INDEX, json!({ "schemaVersion": 2, "manifests": [], "config": descriptor("x") })),
            (OCI_INDEX, json!({ "schemaVersion": 2 })),
            (OCI_MANIFEST, with("mediaType", json!(OCI_INDEX))),
            (OCI_MANIFEST, with("mediaType", json!(DOCKER_MANIFEST))),
            (DOCKER_MANIFEST, without("mediaType")),
            (OCI_MANIFEST, with("schemaVersion", json!(1))),
            (OCI_MANIFEST, without("schemaVersion")),
            (OCI_MANIFEST, without("config")),
            (OCI_MANIFEST, without("layers")),
            (OCI_MANIFEST, with("fsLayers", json!([]))),
            (OCI_MANIFEST, with("layers", json!([{ "mediaType": "x", "digest": "sha256:zz", "size": 1 }]))),
            (OCI_MANIFEST, with("layers", json!([{ "mediaType": "x", "digest": Digest::of(b""), "size": -1 }]))),
            (OCI_MANIFEST, json!([])),
            ("application/vnd.docker.distribution.manifest.v1+json", image()),
            ("application/json", image()),
            ("", image()),
        ];
        for (kind, value) in cases {
            assert_eq!(parse(kind, &value).unwrap_err().code, ErrorCode::ManifestInvalid, "{kind} {value}");
        }
        let twice = format!("{{\"schemaVersion\":2,\"layers\":[],{}", &image().to_string()[1..]);
        assert_eq!(Manifest::parse(OCI_MANIFEST, twice.as_bytes()).unwrap_err().code, ErrorCode::ManifestInvalid);
        assert_eq!(Manifest::parse(OCI_MANIFEST, &vec![b' '; MAX_MANIFEST + 1]).unwrap_err().status, 413);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Manifest::parse(OCI_MANIFEST, &bytes);
        }
    }
}
