//! The command list at the start of a push. Pure.

use bytes::{Bytes, BytesMut};

use crate::oid::Oid;
use crate::pktline::{self, Packet};

/// A line is two object ids, a name and, in the first, capabilities.
const MAX_LINE: usize = 4096;

/// A ref the client wants to move.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Command {
    /// Full name, as the client wrote it.
    pub name: String,
    /// Where the client thinks it is; none to create.
    pub old: Option<Oid>,
    /// Where it shall be; none to delete.
    pub new: Option<Oid>,
}

/// The list and what came with it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct CommandList {
    pub(super) commands: Vec<Command>,
    /// `shallow` lines, passed on as they are.
    pub(super) shallow: Vec<Oid>,
    pub(super) capabilities: Vec<String>,
    done: bool,
}

/// Why a list is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum ListError {
    #[error("the push is not in git's protocol")]
    Malformed,
    #[error("too many refs in one push")]
    TooMany,
    #[error("signed pushes are not supported")]
    Certificate,
}

impl From<pktline::Malformed> for ListError {
    fn from(_: pktline::Malformed) -> Self {
        ListError::Malformed
    }
}

impl CommandList {
    /// Takes what it can from `buffer`; true when the list has ended and the rest is the pack.
    pub(super) fn feed(&mut self, buffer: &mut BytesMut, max: usize) -> Result<bool, ListError> {
        while !self.done {
            let Some(packet) = pktline::take(buffer)? else {
                return Ok(false);
            };
            match packet {
                Packet::Flush => self.done = true,
                Packet::Data(line) => self.line(&line, max)?,
                Packet::Delimiter | Packet::ResponseEnd => return Err(ListError::Malformed),
            }
        }
        Ok(true)
    }

    fn line(&mut self, line: &Bytes, max: usize) -> Result<(), ListError> {
        if line.len() > MAX_LINE {
            return Err(ListError::Malformed);
        }
        if self.commands.len() + self.shallow.len() >= max {
            return Err(ListError::TooMany);
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if let Some(oid) = line.strip_prefix(b"shallow ") {
            self.shallow.push(Oid::from_hex(oid).ok_or(ListError::Malformed)?);
            return Ok(());
        }
        if line.starts_with(b"push-cert") {
            return Err(ListError::Certificate);
        }
        let (command, capabilities) = match line.iter().position(|b| *b == 0) {
            Some(nul) => (&line[..nul], Some(&line[nul + 1..])),
            None => (line, None),
        };
        if let Some(words) = capabilities.filter(|_| self.commands.is_empty()) {
            let words = std::str::from_utf8(words).map_err(|_| ListError::Malformed)?;
            self.capabilities = words.split_whitespace().map(str::to_owned).collect();
        }
        let (Some(old), Some(b' '), Some(new), Some(b' '), Some(name)) = (
            command.get(..40).and_then(Oid::from_hex),
            command.get(40),
            command.get(41..81).and_then(Oid::from_hex),
            command.get(81),
            command.get(82..),
        ) else {
            return Err(ListError::Malformed);
        };
        let name = std::str::from_utf8(name).map_err(|_| ListError::Malformed)?;
        self.commands.push(Command { name: name.to_owned(), old: old.non_zero(), new: new.non_zero() });
        Ok(())
    }

    pub(super) fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|c| c == capability)
    }

    /// Will a pack follow? Not when refs are only deleted.
    pub(super) fn has_pack(&self) -> bool {
        self.commands.iter().any(|c| c.new.is_some())
    }

    /// The list as git shall see it: the commands that are left, and a report that we can read in any case.
    pub(super) fn encode(&self, commands: &[Command]) -> Bytes {
        let mut words = vec!["report-status", "side-band-64k", "object-format=sha1"];
        words.extend(["atomic", "quiet"].into_iter().filter(|w| self.has(w)));
        let mut out = BytesMut::new();
        for oid in &self.shallow {
            pktline::put(&mut out, format!("shallow {oid}").as_bytes());
        }
        for (i, command) in commands.iter().enumerate() {
            let (old, new) = (command.old.unwrap_or(Oid::ZERO), command.new.unwrap_or(Oid::ZERO));
            let capabilities = if i == 0 { format!("\0 {}", words.join(" ")) } else { String::new() };
            pktline::put(&mut out, format!("{old} {new} {}{capabilities}", command.name).as_bytes());
        }
        pktline::put_flush(&mut out);
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(d: char) -> String {
        d.to_string().repeat(40)
    }

    #[test]
    fn a_push_in_any_pieces() {
        let mut wire = BytesMut::new();
        pktline::put(
            &mut wire,
            format!("{} {} refs/heads/main\0 report-status side-band-64k atomic agent=git/2", hex('0'), hex('a')).as_bytes(),
        );
        pktline::put(&mut wire, format!("{} {} refs/heads/old\n", hex('b'), hex('0')).as_bytes());
        wire.extend_from_slice(b"0000PACK...");
        for size in [1, 3, 1000] {
            let mut list = CommandList::default();
            let mut buffer = BytesMut::new();
            let mut done = false;
            for piece in wire.chunks(size) {
                buffer.extend_from_slice(piece);
                done = done || list.feed(&mut buffer, 10).unwrap();
            }
            assert!(done && list.has("atomic") && list.has_pack());
            assert_eq!(&buffer[..], b"PACK...");
            assert_eq!(list.commands.len(), 2);
            assert_eq!((list.commands[0].old, list.commands[1].new), (None, None));
            assert_eq!(list.commands[1].name, "refs/heads/old");
        }
    }

    #[test]
    fn what_is_refused() {
        let feed = |lines: &[String], max| {
            let mut wire = BytesMut::new();
            lines.iter().for_each(|l| pktline::put(&mut wire, l.as_bytes()));
            pktline::put_flush(&mut wire);
            CommandList::default().feed(&mut wire, max)
        };
        let ok = format!("{} {} refs/heads/a", hex('0'), hex('a'));
        assert_eq!(feed(&[ok.clone(), ok.clone()], 2), Ok(true));
        assert_eq!(feed(&vec![ok.clone(); 3], 2), Err(ListError::TooMany));
        assert_eq!(feed(&["push-cert\0x".into()], 2), Err(ListError::Certificate));
        for bad in ["", "x", &ok[..80], &format!("{}{}", ok, "x".repeat(5000)), &format!("{} {} a", hex('g'), hex('a'))] {
            assert_eq!(feed(&[bad.to_owned()], 2), Err(ListError::Malformed), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = CommandList::default().feed(&mut BytesMut::from(&bytes[..]), 5);
        }

        #[test]
        fn encoded_lists_parse_again(names in proptest::collection::vec("refs/heads/[a-z]{1,20}", 1..10)) {
            let commands: Vec<_> = names.into_iter().map(|name| Command { name, old: None, new: Some(Oid::parse(&hex('a')).unwrap()) }).collect();
            let list = CommandList { capabilities: vec!["atomic".into()], ..CommandList::default() };
            let mut wire = BytesMut::from(&list.encode(&commands)[..]);
            let mut back = CommandList::default();
            prop_assert_eq!(back.feed(&mut wire, 100), Ok(true));
            prop_assert!(back.has("report-status") && back.has("atomic"));
            prop_assert_eq!(back.commands, commands);
        }
    }
}
