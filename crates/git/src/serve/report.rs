//! The report at the end of a push: what happened to each ref. Pure.

use bytes::{Bytes, BytesMut};

use crate::pktline::{self, Packet};

/// What happened to one ref: fine, or the reason why not.
pub(super) type Status = Result<(), String>;

/// A report.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Report {
    /// Of the pack: none when it was taken.
    pub(super) unpack: Option<String>,
    /// Of each ref.
    pub(super) refs: Vec<(String, Status)>,
}

impl Report {
    /// Reads what `receive-pack` wrote; none when that is no whole report.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut buffer = BytesMut::from(bytes);
        let mut report = Self::default();
        let first = pktline::take(&mut buffer).ok()??;
        let unpack = std::str::from_utf8(first.text()?).ok()?.strip_prefix("unpack ")?;
        report.unpack = (unpack != "ok").then(|| unpack.to_owned());
        loop {
            match pktline::take(&mut buffer).ok()?? {
                Packet::Flush => return Some(report),
                packet => {
                    let line = String::from_utf8_lossy(packet.text()?).into_owned();
                    if let Some(name) = line.strip_prefix("ok ") {
                        report.refs.push((name.to_owned(), Ok(())));
                    } else if let Some((name, reason)) = line.strip_prefix("ng ").and_then(|r| r.split_once(' ')) {
                        report.refs.push((name.to_owned(), Err(reason.to_owned())));
                    }
                }
            }
        }
    }

    /// All refs of a push refused for one reason.
    pub(super) fn refusal<'a>(names: impl Iterator<Item = &'a str>, reason: &str) -> Self {
        Self { unpack: None, refs: names.map(|n| (n.to_owned(), Err(reason.to_owned()))).collect() }
    }

    /// The status of one ref.
    pub(super) fn of(&self, name: &str) -> Option<&Status> {
        self.refs.iter().find(|(n, _)| n == name).map(|(_, s)| s)
    }

    /// As packets.
    fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        pktline::put_text(&mut out, &format!("unpack {}", self.unpack.as_deref().map_or_else(|| "ok".into(), pktline::one_line)));
        for (name, status) in &self.refs {
            match status {
                Ok(()) => pktline::put_text(&mut out, &format!("ok {name}")),
                Err(reason) => pktline::put_text(&mut out, &format!("ng {} {}", pktline::one_line(name), pktline::one_line(reason))),
            }
        }
        pktline::put_flush(&mut out);
        out.freeze()
    }
}

/// How a client wants to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Manner {
    /// It reads a report.
    pub(super) report: bool,
    /// It reads side bands.
    pub(super) bands: bool,
}

impl Manner {
    /// The end of the answer.
    pub(super) fn end(self, report: &Report) -> Bytes {
        let mut out = BytesMut::new();
        let encoded = report.encode();
        match (self.report, self.bands) {
            (true, true) => pktline::put_band(&mut out, 1, &encoded),
            (true, false) => out.extend_from_slice(&encoded),
            (false, _) => {}
        }
        if self.bands {
            pktline::put_flush(&mut out);
        }
        out.freeze()
    }

    /// The end of an answer that cannot be a report: the client stops with this message.
    pub(super) fn fatal(self, text: &str) -> Bytes {
        if !self.bands {
            return pktline::error_packet(text);
        }
        let mut out = BytesMut::new();
        pktline::put_band(&mut out, 3, format!("{}\n", pktline::one_line(text)).as_bytes());
        pktline::put_flush(&mut out);
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let report =
            Report { unpack: None, refs: vec![("refs/heads/a".into(), Ok(())), ("refs/heads/b".into(), Err("not allowed here".into()))] };
        assert_eq!(Report::parse(&report.encode()), Some(report.clone()));
        assert_eq!(report.of("refs/heads/b"), Some(&Err("not allowed here".into())));
    }

    #[test]
    fn half_a_report_is_none() {
        let bytes = Report { unpack: Some("bad pack".into()), refs: vec![("refs/heads/a".into(), Ok(()))] }.encode();
        assert!(Report::parse(&bytes).is_some());
        for cut in 0..bytes.len() {
            assert_eq!(Report::parse(&bytes[..cut]), None);
        }
    }
}
