//! Any bytes as a pipeline of GitLab, in a repository of which nothing can be read.
#![no_main]

use dialects::gitlab::{Facts, Nothing, compile};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let facts = Facts { source: "push".into(), reference: "refs/heads/main".into(), default_branch: "main".into(), ..Facts::default() };
    let _ = compile(".gitlab-ci.yml", bytes, &facts, &Nothing);
});
