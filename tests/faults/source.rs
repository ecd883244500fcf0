//! Creations and pushes.

use std::time::Duration;

use serde_json::json;
use testkit::{Clone, Database, Server, databases, eventually, git, try_run, until};

use crate::quiet;

/// Kills the service after each of many delays into a creation; what was begun ends whole or not at all.
#[test]
fn creation_is_whole_or_not_at_all() {
    for database in databases() {
        let mut s = Server::start_with(database, &quiet());
        let token = s.user_token("ann");
        let rounds: u64 = 12;
        for round in 0..rounds {
            let ann = s.anonymous().token(&token);
            let name = format!("p{round}");
            let body = json!({"name": name, "template": "static-site"});
            let begun = ann.header("prefer", "respond-async").post("/projects/create", &body).expect(202).str("id");
            std::thread::sleep(Duration::from_millis(round * 12));
            s.kill();
            s.restart();
            let ann = s.anonymous().token(&token);
            let ended = until("the flow ends", Duration::from_secs(90), || {
                let op = ann.get(&format!("/operations/{begun}")).expect(200);
                (op.json["state"] != "running").then_some(op)
            });
            // nothing was wrong with the request, so it finishes
            assert_eq!(ended.str("state"), "succeeded", "round {round}: {}", ended.json);
            let clone = Clone::of(s.url(), &token, &format!("ann/{name}"), &s.scratch("clones").join(&name));
            assert_eq!(clone.git(&["rev-list", "--count", "HEAD"]), "1", "round {round}");
            clone.git(&["fsck", "--full", "--strict"]);
        }
        let s2 = s.anonymous().token(&token);
        let events = s.admin().get("/events?limit=100").expect(200).items();
        let count = |kind: &str| events.iter().filter(|e| e["type"] == kind).count() as u64;
        assert_eq!(count("project.created"), rounds);
        assert_eq!(count("repository.pushed"), rounds);
        assert_eq!(s2.get("/projects/list?limit=100").expect(200).items().len() as u64, rounds);
    }
}

/// A creation whose work was given up, after too many crashes, is undone: nothing keeps its name.
#[test]
fn a_creation_that_was_given_up_is_undone() {
    for database in databases() {
        let mut s = Server::start_with(database, &quiet());
        let token = s.user_token("ann");
        let body = json!({"name": "app", "template": "static-site"});
        // the database takes no work to its end
        let (refuse, accept): (&[&str], &str) = match database {
            Database::Sqlite => {
                (&["CREATE TRIGGER stuck BEFORE UPDATE ON operation BEGIN SELECT RAISE(ABORT, 'stuck'); END"], "DROP TRIGGER stuck")
            }
            Database::Postgres => (
                &[
                    "CREATE FUNCTION stuck() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'stuck'; END $$ LANGUAGE plpgsql",
                    "CREATE TRIGGER stuck BEFORE UPDATE ON operation FOR EACH ROW EXECUTE FUNCTION stuck()",
                ],
                "DROP TRIGGER stuck ON operation",
            ),
        };
        s.sql(refuse);
        let ann = s.anonymous().token(&token);
        let begun = ann.header("prefer", "respond-async").post("/projects/create", &body).expect(202).str("id");
        s.kill();
        s.sql(&[accept, "UPDATE work SET state = 'dead' WHERE kind = 'project_create'"]);
        s.restart();
        let ann = s.anonymous().token(&token);
        let ended = until("the flow ends", Duration::from_secs(90), || {
            let op = ann.get(&format!("/operations/{begun}")).expect(200);
            (op.json["state"] != "running").then_some(op)
        });
        assert_eq!(ended.str("state"), "failed", "{}", ended.json);
        assert!(ann.get("/projects/list").expect(200).items().is_empty());
        // the name is free again
        ann.post("/projects/create", &body).expect(201);
    }
}

/// Kills the service while pushes run. An acknowledged push is there and told of exactly once; any other is there wholly or
/// not at all.
#[test]
fn acknowledged_pushes_survive() {
    for database in databases() {
        let mut s = Server::start_with(database, &quiet());
        let token = s.user_token("ann");
        s.anonymous().token(&token).post("/projects/create", &json!({"name": "app"})).expect(201);
        let dir = s.scratch("work");
        git(&dir, &["init", "--quiet", "-b", "main"]);
        git(&dir, &["remote", "add", "origin", &Clone::address(s.url(), &token, "ann/app")]);
        let clone = Clone { directory: dir.clone() };
        let mut acknowledged = Vec::new();
        for round in 0..15u64 {
            clone.write(&format!("f{round}"), &"x".repeat(2000));
            let commit = clone.commit(&format!("c{round}"));
            let pushing = {
                let dir = dir.clone();
                std::thread::spawn(move || {
                    try_run(&dir, "git", &["push", "--quiet", "origin", "HEAD:refs/heads/main"], &[]).status.success()
                })
            };
            std::thread::sleep(Duration::from_millis(30 + round * 25));
            s.kill();
            let ok = pushing.join().unwrap();
            s.restart();
            let seen = git(&dir, &["ls-remote", "origin", "refs/heads/main"]);
            if ok {
                acknowledged.push(commit.clone());
                assert!(seen.starts_with(&commit), "round {round}: an acknowledged push is gone: {seen}");
            }
        }
        // the rest gets through, and all of it is sound
        clone.git(&["push", "--quiet", "origin", "HEAD:refs/heads/main"]);
        let head = clone.git(&["rev-parse", "HEAD"]);
        let fresh = Clone::of(s.url(), &token, "ann/app", &s.scratch("").join("fresh"));
        fresh.git(&["fsck", "--full"]);
        assert_eq!(fresh.git(&["rev-parse", "HEAD"]), head);
        // the events tell one unbroken chain that ends at the head, each move once
        let chain = || -> Option<Vec<(String, String)>> {
            let events = s.admin().get("/events?project=ann%2Fapp&limit=100").expect(200).items();
            let moves: Vec<(String, String)> = events
                .iter()
                .filter(|e| e["type"] == "repository.pushed")
                .flat_map(|e| e["data"]["updates"].as_array().cloned().unwrap_or_default())
                .filter(|u| u["ref"] == "refs/heads/main")
                .map(|u| (u["old"].as_str().unwrap_or("").to_owned(), u["new"].as_str().unwrap_or("").to_owned()))
                .collect();
            (moves.last().is_some_and(|(_, new)| *new == head)).then_some(moves)
        };
        let moves = until("the events catch up", Duration::from_secs(60), chain);
        for pair in moves.windows(2) {
            assert_eq!(pair[0].1, pair[1].0, "the chain of moves is broken: {moves:?}");
        }
        for commit in &acknowledged {
            assert_eq!(moves.iter().filter(|(_, new)| new == commit).count(), 1, "{commit} in {moves:?}");
        }
    }
}

/// What follows from a push is carried out once, also when the instance dies in the middle of it.
#[test]
fn what_follows_from_a_push_is_done_once() {
    let mut s = Server::start_with(Database::Sqlite, &quiet());
    let token = s.user_token("ann");
    s.anonymous().token(&token).post("/projects/create", &json!({"name": "app", "template": "go-http"})).expect(201);
    let clone = Clone::of(s.url(), &token, "ann/app", &s.scratch("").join("app"));
    for round in 0..6u64 {
        clone.write(&format!("extra{round}.go"), &format!("package main\n\nfunc extra{round}() int {{ return {round} }}\n"));
        clone.push(&format!("extra {round}"));
        std::thread::sleep(Duration::from_millis(round * 15));
        s.kill();
        s.restart();
    }
    let head = clone.git(&["rev-parse", "HEAD"]);
    let ann = s.anonymous().token(&token);
    eventually("the analysis reaches the head", || ann.get("/projects/ann%2Fapp/quality").json["commit"] == head.as_str());
    let files = ann.get("/projects/ann%2Fapp/inventory?limit=100").expect(200).items();
    assert_eq!(files.iter().filter(|f| f["path"].as_str().is_some_and(|p| p.starts_with("extra"))).count(), 6);
    // a run for every pushed commit, once (the template's own first commit included)
    let runs = until("a run for each commit", Duration::from_secs(90), || {
        let runs = ann.get("/projects/ann%2Fapp/runs?limit=100").expect(200).items();
        (runs.len() >= 7).then_some(runs)
    });
    let mut commits: Vec<&str> = runs.iter().filter_map(|r| r["commit"].as_str()).collect();
    commits.sort_unstable();
    let all = commits.len();
    commits.dedup();
    assert_eq!((commits.len(), all), (7, 7));
}
