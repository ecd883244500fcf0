//! Any text as Groovy, run against a world in which everything succeeds and time passes with every look at the clock.
#![no_main]

use std::sync::atomic::{AtomicU64, Ordering};

use dialects::jenkins::interp::{Context, Credential, Host, Interp, Refusal, Reply, Request, STACK_BYTES, Start};
use dialects::jenkins::{Source, parse};
use indexmap::IndexMap;

/// Looks at the clock until time is up: a few hundred thousand evaluated nodes.
const LOOKS: u64 = 200_000;

#[derive(Default)]
struct World(AtomicU64);

impl Host for World {
    fn ask(&self, _: &Context, _: &IndexMap<String, String>, request: Request) -> Result<Reply, Refusal> {
        self.0.fetch_add(1_000, Ordering::Relaxed);
        Ok(match request {
            Request::Shell { .. } => Reply::Shell { code: 0, stdout: "out\n".into() },
            Request::ReadFile(path) => Reply::Text(path),
            Request::Pwd | Request::SecretFile(_) => Reply::Text("/w".into()),
            Request::Exists(path) => Reply::Flag(path.len() % 2 == 0),
            Request::Junit { .. } => Reply::Tests { total: 3, failed: 1, skipped: 0 },
            Request::StageBegin(_) => Reply::Count(1),
            _ => Reply::Done,
        })
    }

    fn credential(&self, id: &str) -> Option<Credential> {
        (id.len() > 1).then(|| Credential::Pair("me".into(), "secret".into()))
    }

    fn now(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(script) = parse(text) else { return };
    std::thread::scope(|threads| {
        let run = || {
            let source = Source::new("Jenkinsfile", text);
            let world = World::default();
            let interp = Interp::new(&world, &source, &script, &Start::default());
            let mut context = Context::default();
            context.deadline = Some(LOOKS);
            let _ = interp.run(&script, &context);
        };
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(threads, run).expect("a thread");
        if thread.join().is_err() {
            std::process::abort();
        }
    });
});
