//! Reads `text/event-stream` piece by piece, as the HTML standard describes it.

use crate::error::{Error, Result};

/// Largest event that is taken in.
const MAX_EVENT: usize = 16 << 20;

/// One dispatched event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type; `message` when the server names none.
    pub name: String,
    /// Its lines of data, joined by line breaks.
    pub data: String,
    /// The last id seen up to here.
    pub id: Option<String>,
}

/// Takes bytes in pieces of any size and gives events.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    started: bool,
    name: String,
    data: String,
    has_data: bool,
    id: Option<String>,
}

impl Parser {
    /// Takes the next bytes; returns the events they complete.
    ///
    /// # Errors
    /// When an event is larger than 16 MiB.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        for &byte in bytes {
            let was_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if was_cr => {}
                b'\n' | b'\r' => events.extend(self.end_of_line()),
                _ if self.line.len() + self.data.len() >= MAX_EVENT => return Err(Error::TooLarge { limit: MAX_EVENT as u64 }),
                _ => self.line.push(byte),
            }
        }
        Ok(events)
    }

    /// The last id that was completed.
    pub fn last_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn end_of_line(&mut self) -> Option<Event> {
        let bytes = std::mem::take(&mut self.line);
        let mut line: &str = &String::from_utf8_lossy(&bytes);
        if !std::mem::replace(&mut self.started, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // comments have an empty field; `retry` and unknown fields mean nothing here
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        let name = if name.is_empty() { "message".to_owned() } else { name };
        std::mem::take(&mut self.has_data).then(|| Event { name, data, id: self.id.clone() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(name: &str, data: &str, id: Option<&str>) -> Event {
        Event { name: name.into(), data: data.into(), id: id.map(Into::into) }
    }

    #[test]
    fn streams() {
        for (text, want) in [
            ("data: a\n\n", vec![event("message", "a", None)]),
            ("\u{feff}event: run\r\nid: 7\r\ndata: a\r\ndata:b\r\n\r\n", vec![event("run", "a\nb", Some("7"))]),
            ("data: a\r\rdata:  b\r\r", vec![event("message", "a", None), event("message", " b", None)]),
            (": ping\n\nevent: x\n\ndata: y\n\n", vec![event("message", "y", None)]),
            ("id: 1\n\ndata: z\n\nid:\ndata\n\n", vec![event("message", "z", Some("1")), event("message", "", Some(""))]),
            ("data: never ended\n", vec![]),
            ("retry: 5\nunknown: x\ndata: a:b: c\n\n", vec![event("message", "a:b: c", None)]),
        ] {
            assert_eq!(Parser::default().push(text.as_bytes()).unwrap(), want, "{text:?}");
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; 1 << 20];
        assert!((0..17).any(|_| parser.push(&piece).is_err()));
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(text in "([a-z: é\r\n]|data: |id: |event: |\n\n){0,40}", cuts in prop::collection::vec(0usize..200, 0..8)) {
            let bytes = text.as_bytes();
            let whole = Parser::default().push(bytes).unwrap();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let (mut parser, mut pieces, mut from) = (Parser::default(), Vec::new(), 0);
            for to in cuts {
                pieces.extend(parser.push(&bytes[from..to]).unwrap());
                from = to;
            }
            prop_assert_eq!(whole, pieces);
        }
    }
}
