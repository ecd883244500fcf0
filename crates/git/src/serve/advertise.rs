//! Ref advertisements, made in process from a snapshot.
//!
//! What the server can do is not guessed: at start the installed git is asked, so the words we say are the ones the
//! process that will serve the request understands.

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kernel::RefName;
use uuid::Uuid;

use super::{Service, Version};
use crate::error::{GitError, Result};
use crate::oid::Oid;
use crate::pack::{Kind, PackBuilder};
use crate::packs;
use crate::pktline::{self, Packet};
use crate::program::Program;
use crate::refs::RefSnapshot;
use crate::repositories::Repository;

/// What the installed git offers, as it says it.
#[derive(Clone, Debug)]
pub struct Capabilities {
    upload: String,
    receive: String,
    version2: Bytes,
}

impl Capabilities {
    /// Asks git, with a scratch repository configured as all of ours are.
    pub(crate) async fn probe(program: &Program, scratch: &Path) -> Result<Self> {
        let dir = scratch.join(Uuid::now_v7().simple().to_string());
        let result = Self::probe_in(program, &dir).await;
        let _ = std::fs::remove_dir_all(&dir);
        result
    }

    async fn probe_in(program: &Program, dir: &Path) -> Result<Self> {
        std::fs::create_dir(dir).map_err(GitError::io("create a scratch repository"))?;
        packs::prepare(dir, &RefName::branch("main").map_err(|e| GitError::Invalid(e.detail))?)?;
        let mut pack = PackBuilder::new();
        let tree = pack.add(Kind::Tree, b"")?;
        let who = "probe <probe@localhost> 0 +0000";
        let commit = pack.add(Kind::Commit, format!("tree {tree}\nauthor {who}\ncommitter {who}\n\nprobe\n").as_bytes())?;
        let pack = pack.finish();
        let base = dir.join("objects/pack").join(format!("pack-{}", pack.name()));
        for (extension, bytes) in [("pack", pack.bytes()), ("idx", pack.index())] {
            std::fs::write(base.with_extension(extension), bytes).map_err(GitError::io("write a scratch pack"))?;
        }
        std::fs::write(dir.join("refs/heads/main"), format!("{commit}\n")).map_err(GitError::io("write a scratch ref"))?;

        let ask = async |subcommand: &'static str, protocol: &'static str| {
            let argv = program.command(subcommand).flag("--stateless-rpc").flag("--advertise-refs").path(dir).env("GIT_PROTOCOL", protocol);
            argv.output(b"", Duration::from_secs(10), 1 << 16).await
        };
        let upload: Vec<String> = capabilities(&ask("upload-pack", "").await?)?.into_iter().filter(|c| !c.starts_with("symref=")).collect();
        let receive = capabilities(&ask("receive-pack", "").await?)?;
        let version2 = Bytes::from(ask("upload-pack", "version=2").await?);
        if !version2.starts_with(b"000eversion 2\n") || !version2.ends_with(b"0000") {
            return Err(GitError::Unusable("this git does not speak protocol version 2".into()));
        }
        Ok(Self { upload: upload.join(" "), receive: receive.join(" "), version2 })
    }
}

/// The words after the NUL of the first line.
fn capabilities(output: &[u8]) -> Result<Vec<String>> {
    let mut buffer = BytesMut::from(output);
    let first = pktline::take(&mut buffer).ok().flatten();
    let line = first.as_ref().and_then(Packet::text).and_then(|t| std::str::from_utf8(t).ok());
    let words = line.and_then(|l| l.split_once('\0')).ok_or_else(|| GitError::Unusable("git advertises no capabilities".into()))?.1;
    Ok(words.split_whitespace().map(str::to_owned).collect())
}

impl Repository {
    /// The answer to `info/refs`.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`, `Io`.
    pub async fn info_refs(&self, service: Service, version: Version) -> Result<Bytes> {
        if service == Service::UploadPack && version == Version::V2 {
            return Ok(self.all.capabilities.version2.clone());
        }
        let refs = self.refs().await?;
        let cell = match service {
            Service::UploadPack => &refs.rendered.upload,
            Service::ReceivePack => &refs.rendered.receive,
        };
        let listing = cell.get_or_init(|| match service {
            Service::UploadPack => render_upload(&refs, &self.all.capabilities.upload),
            Service::ReceivePack => render_receive(&refs, &self.all.capabilities.receive),
        });
        let mut out = BytesMut::with_capacity(listing.len() + 64);
        pktline::put_text(&mut out, &format!("# service={}", service.as_str()));
        pktline::put_flush(&mut out);
        // receive-pack has no version 2: a client that asks for it gets what git gives it, version 0
        if version == Version::V1 {
            pktline::put_text(&mut out, "version 1");
        }
        out.extend_from_slice(listing);
        Ok(out.freeze())
    }
}

fn render_upload(refs: &RefSnapshot, capabilities: &str) -> Bytes {
    let mut out = BytesMut::new();
    let mut words = Some(match refs.head_entry() {
        Some(_) => format!("{capabilities} symref=HEAD:{}", refs.head),
        None => capabilities.to_owned(),
    });
    let mut line = |oid: Oid, name: &str| match words.take() {
        Some(words) => pktline::put_text(&mut out, &format!("{oid} {name}\0{words}")),
        None => pktline::put_text(&mut out, &format!("{oid} {name}")),
    };
    if let Some(head) = refs.head_entry() {
        line(head.oid, "HEAD");
    }
    for entry in &refs.refs {
        line(entry.oid, &entry.name);
        if let Some(peeled) = entry.peeled {
            line(peeled, &format!("{}^{{}}", entry.name));
        }
    }
    pktline::put_flush(&mut out);
    out.freeze()
}

fn render_receive(refs: &RefSnapshot, capabilities: &str) -> Bytes {
    let mut out = BytesMut::new();
    if refs.refs.is_empty() {
        pktline::put_text(&mut out, &format!("{} capabilities^{{}}\0{capabilities}", Oid::ZERO));
    }
    for (i, entry) in refs.refs.iter().enumerate() {
        if i == 0 {
            pktline::put_text(&mut out, &format!("{} {}\0{capabilities}", entry.oid, entry.name));
        } else {
            pktline::put_text(&mut out, &format!("{} {}", entry.oid, entry.name));
        }
    }
    pktline::put_flush(&mut out);
    out.freeze()
}

/// An advertisement that ends the conversation with a message on the person's terminal.
pub fn refuse_advertisement(service: Service, version: Version, message: &str) -> Bytes {
    let mut out = BytesMut::new();
    if !(service == Service::UploadPack && version == Version::V2) {
        pktline::put_text(&mut out, &format!("# service={}", service.as_str()));
        pktline::put_flush(&mut out);
    }
    out.extend_from_slice(&pktline::error_packet(message));
    out.freeze()
}
