//! Typed ids: a UUIDv7 inside, `prj_06d3…` (prefix and 26 Crockford base-32 digits) outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::error::{Code, Error};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

fn encode(id: Uuid) -> String {
    let mut n = id.as_u128();
    let mut out = [0u8; 26];
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET[(n & 31) as usize];
        n >>= 5;
    }
    out.iter().map(|&b| b as char).collect()
}

fn decode(text: &str) -> Option<Uuid> {
    let bytes = text.as_bytes();
    // 26 digits hold 130 bits; the first may only use the low three
    if bytes.len() != 26 || bytes[0] > b'7' {
        return None;
    }
    let mut n: u128 = 0;
    for &b in bytes {
        let digit = ALPHABET.iter().position(|&a| a == b)?;
        n = (n << 5) | digit as u128;
    }
    Some(Uuid::from_u128(n))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// The text prefix, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A fresh id, ordered by creation time.
            #[expect(clippy::new_without_default, reason = "a random default would surprise")]
            pub fn new() -> Self { Self(Uuid::now_v7()) }

            /// The id as stored.
            pub fn uuid(self) -> Uuid { self.0 }
        }

        impl From<Uuid> for $name { fn from(id: Uuid) -> Self { Self(id) } }

        impl From<$name> for Uuid { fn from(id: $name) -> Self { id.0 } }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(self, f) }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self, Error> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(Self)
                    .ok_or_else(|| Error::new(Code::InvalidRequest,
                        concat!("not an id of the form ", $prefix, "_…")))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.collect_str(self) }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(|e: Error| serde::de::Error::custom(e.detail))
            }
        }
    )*};
}

ids! {
    /// A person or service account.
    UserId = "usr";
    /// A group in the namespace tree.
    GroupId = "grp";
    /// A project.
    ProjectId = "prj";
    /// An access token.
    TokenId = "tok";
    /// A signed-in browser.
    SessionId = "ses";
    /// One event of the outbox.
    EventId = "evt";
    /// A leased row of internal work (not a pipeline job).
    WorkId = "wrk";
    /// A durable multi-step flow, such as creating a project.
    OperationId = "opn";
    /// One push as received.
    PushId = "psh";
    /// A pipeline run.
    RunId = "run";
    /// A job of a pipeline run.
    JobId = "job";
    /// A step of a job.
    StepId = "stp";
    /// A machine that runs jobs.
    RunnerId = "rnr";
    /// A stored result of a job.
    ArtifactId = "art";
    /// A test of a project, over all its runs.
    TestId = "tst";
    /// A secret's name and its versions.
    SecretId = "sec";
    /// A plain variable.
    VariableId = "var";
    /// When runs start by the clock.
    ScheduleId = "sch";
    /// A place to deploy to.
    EnvironmentId = "env";
    /// An environment as jobs of pipelines name it.
    JobEnvironmentId = "jen";
    /// What a running job asks of people.
    JobQuestionId = "qst";
    /// An image digest with its configuration and secret versions.
    ReleaseId = "rel";
    /// One attempt to bring a release to an environment.
    DeploymentId = "dpl";
    /// A registry upload in progress.
    UploadId = "upl";
    /// One request, as `X-Request-Id`.
    RequestId = "req";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for _ in 0..100 {
            let id = ProjectId::new();
            assert_eq!(id.to_string().parse::<ProjectId>().unwrap(), id);
        }
    }

    #[test]
    fn hostile_text_is_refused() {
        for text in ["", "prj_", "prj_zzzzzzzzzzzzzzzzzzzzzzzzzz", "usr_00000000000000000000000000", "prj_0000000000000000000000000é"] {
            assert!(text.parse::<ProjectId>().is_err(), "{text}");
        }
    }
}
