//! The services that published actions expect, used by their published clients: bundled as authors of actions bundle them,
//! committed to a project, run by the server's own runner.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Api, Cli, Clone, Server, ServerOptions, databases, run, until};

/// The clients, installed from the package registry at their pinned versions and bundled, once for all tests.
fn clients() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("blackbox/clients");
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
        std::fs::create_dir_all(&scratch).unwrap();
        for name in ["package.json", "package-lock.json", "artifact.js", "cache.js", "identity.js"] {
            std::fs::copy(sources.join(name), scratch.join(name)).unwrap();
        }
        run(&scratch, "npm", &["ci", "--no-audit", "--no-fund"]);
        run(&scratch, "npm", &["run", "build"]);
        scratch.join("dist")
    })
}

struct House {
    server: Server,
    ann: Api,
    token: String,
    clone: Clone,
}

impl House {
    /// A project of `ann` with the clients as its own actions.
    fn new(server: Server) -> Self {
        let token = server.user_token("ann");
        let ann = server.anonymous().token(&token);
        ann.post("/projects/create", &json!({ "name": "web" })).expect(201);
        let clone = Clone::of(server.url(), &token, "ann/web", &server.scratch("web"));
        clone.git(&["checkout", "-q", "-B", "main"]);
        for name in ["artifact", "cache", "identity"] {
            let bundle = std::fs::read_to_string(clients().join(format!("{name}.js"))).unwrap();
            clone.write(&format!("actions/{name}/index.js"), &bundle);
            clone.write(&format!("actions/{name}/action.yml"), "runs: {using: node20, main: index.js}\n");
        }
        Self { server, ann, token, clone }
    }

    /// Pushes a workflow and waits for its run, which succeeds.
    fn run(&self, workflow: &str) -> (Value, String) {
        // every push has something new in it
        static PUSHES: AtomicUsize = AtomicUsize::new(0);
        let workflow = format!("{workflow}# {}\n", PUSHES.fetch_add(1, Ordering::Relaxed));
        self.clone.write(".github/workflows/ci.yml", &workflow);
        let run = self.end_of(&self.clone.push("workflow"));
        let log = self.log(&run);
        assert_eq!(run["conclusion"], "success", "{log}\n{}", run["diagnostics"]);
        (run, log)
    }

    fn end_of(&self, commit: &str) -> Value {
        let path = format!("/projects/ann%2Fweb/runs?commit={commit}");
        let run = until("a run", Duration::from_secs(60), || self.ann.get(&path).expect(200).items().first().cloned());
        let path = format!("/runs/{}", run["id"].as_str().unwrap());
        until("its end", Duration::from_secs(300), || {
            let run = self.ann.get(&path).expect(200).json;
            (run["state"] == "completed").then_some(run)
        })
    }

    fn log(&self, run: &Value) -> String {
        let jobs = run["jobs"].as_array().unwrap();
        jobs.iter().map(|j| self.ann.get(&format!("/jobs/{}/log", j["id"].as_str().unwrap())).text()).collect()
    }
}

const ARTIFACTS: &str = "on: push
jobs:
  make:
    runs-on: ubuntu-latest
    outputs: {large: '${{ steps.client.outputs.large }}'}
    steps:
      - uses: actions/checkout@v4
      - run: mkdir out && echo 'built in' > out/from-run.txt && test -z \"$ACTIONS_RUNTIME_TOKEN\"
      - uses: actions/upload-artifact@v4
        with: {name: built, path: out, retention-days: 1}
      - id: client
        uses: ./actions/artifact
  take:
    needs: make
    runs-on: ubuntu-latest
    steps:
      - uses: actions/download-artifact@v4
        with: {path: all}
      - run: |
          test $(wc -c < all/large/big.bin) = 41943040
          test \"$(cat all/page.html/page.html)\" = '<p>hello</p>'
          test \"$(cat all/small/deep/b.txt)\" = two
          ls all
";

#[test]
fn the_published_client_of_artifacts() {
    for database in databases() {
        let house = House::new(Server::start(database));
        let (run, log) = house.run(ARTIFACTS);
        assert!(log.contains("artifacts: all good"), "{log}");
        let path = format!("/runs/{}/artifacts", run["id"].as_str().unwrap());
        let items = house.ann.get(&path).expect(200).items();
        let by_name = |name: &str| items.iter().find(|a| a["name"] == name).unwrap_or_else(|| panic!("no {name}: {items:?}")).clone();
        assert_eq!(items.len(), 6, "{items:?}");
        assert_eq!((by_name("large")["files"].clone(), by_name("small")["files"].clone()), (json!(1), json!(2)));
        assert_eq!(by_name("page.html")["content_type"], "text/html");
        // what was asked for is what it is kept for
        let day = |item: &Value, key: &str| item[key].as_str().unwrap()[..10].to_owned();
        let kept = |name: &str, days: i64| {
            let item = by_name(name);
            let (made, until) = (day(&item, "created_at"), day(&item, "expires_at"));
            let date = run_date(&made, days);
            assert_eq!(until, date, "{name}");
        };
        kept("small", 3);
        kept("built", 1);
        kept("large", 30);
        provenance(&house, &run, &by_name("large"));
        let page = house.ann.get(&format!("/artifacts/{}/download", by_name("page.html")["id"].as_str().unwrap())).expect(200);
        assert_eq!(page.text(), "<p>hello</p>");
        assert!(page.header("content-disposition").starts_with("attachment; filename=\"page.html\""));
        // the tokens died with the job, and an address that is not signed leads nowhere
        let runtime = house.server.anonymous().token("eyJhbGciOiJIUzI1NiJ9.eyJzY3AiOiJ4In0.AAAA");
        let call = "/twirp/github.actions.results.api.v1.ArtifactService/ListArtifacts";
        runtime.post(call, &json!({})).problem(401, "bad_credentials");
        assert_eq!(house.server.anonymous().post(call, &json!({})).expect(401).json["code"], "unauthenticated");
        assert_eq!(house.ann.post(call, &json!({})).expect(401).json["code"], "unauthenticated");
        house.server.anonymous().get("/results/downloads/content?sig=eyJ.eyJ.x").problem(403, "forbidden");
    }
}

/// What the command line finds out about an artifact, with the server and without.
fn provenance(house: &House, run: &Value, artifact: &Value) {
    let id = run["id"].as_str().unwrap();
    let listed = until("the statements", Duration::from_secs(60), || {
        let answer = house.ann.get(&format!("/runs/{id}/provenance")).expect(200);
        (answer.items().len() == 6).then_some(answer)
    });
    let scratch = house.server.scratch("provenance");
    std::fs::create_dir_all(&scratch).unwrap();
    let path = |name: &str| scratch.join(name).to_str().unwrap().to_owned();
    let file = house.ann.get(&format!("/artifacts/{}/download", artifact["id"].as_str().unwrap())).expect(200).bytes;
    std::fs::write(path("large.zip"), &file).unwrap();
    std::fs::write(path("other.zip"), &file[1..]).unwrap();
    std::fs::write(path("bundle.json"), listed.text()).unwrap();
    std::fs::write(path("keys.json"), house.server.anonymous().get("/provenance/keys").expect(200).text()).unwrap();
    let commit = run["commit"]["id"].as_str().or(run["commit"].as_str()).unwrap().to_owned();
    let builder = format!("{}/builders/pipeline", house.server.url());

    let online = Cli::signed_in(&scratch, house.server.url(), &house.token);
    let said = online.json(&["provenance", "verify", &path("large.zip"), "--run", id, "--commit", &commit]);
    assert_eq!((said["commit"].as_str(), said["workflow"]["path"].as_str()), (Some(&*commit), Some(".github/workflows/ci.yml")), "{said}");
    assert_eq!(said["digest"], artifact["digest"]);
    let offline = Cli::signed_out(&scratch);
    let (bundle, keys) = (path("bundle.json"), path("keys.json"));
    let given = ["--bundle", &bundle, "--keys", &keys, "--builder", &builder];
    offline.run(&[&["provenance", "verify", &path("large.zip")], &given[..]].concat());
    for (file, more, why) in
        [("other.zip", ["--commit", &commit], "no statement is about"), ("large.zip", ["--commit", "0000000"], "built from the commit")]
    {
        let refused = offline.try_run(&[&["provenance", "verify", &path(file)], &given[..], &more[..]].concat());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && said.contains(why), "{why}: {said}");
    }
}

/// The date so many days after another.
fn run_date(from: &str, days: i64) -> String {
    run(Path::new("/"), "date", &["-u", "-d", &format!("{from} +{days} days"), "+%F"]).trim().to_owned()
}

fn caching(steps: &[&str]) -> String {
    let steps: String = steps.iter().map(|with| format!("      - uses: ./actions/cache\n        with: {{{with}}}\n")).collect();
    format!("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n{steps}")
}

#[test]
fn the_published_client_of_caches() {
    for database in databases() {
        let house = House::new(Server::start(database));
        let (_, log) = house.run(&caching(&[
            "restore: k-1",
            "save: k-1",
            "save: k-2, size: 3000000",
            "save: k-1",
            "restore: k-1 k-",
            // the newest whose key begins so
            "restore: k-9 nothing- k-",
            // one service for both protocols
            "save: old-1, size: 70000000, older: 'yes'",
            "restore: old-1",
            "restore: none old-, older: 'yes'",
            "restore: none, older: 'yes'",
        ]));
        let said: Vec<&str> = log.lines().filter(|l| (l.starts_with("restored ") || l.starts_with("saved ")) && l.contains(": ")).collect();
        assert_eq!(
            said,
            [
                "restored nothing: nothing",
                "saved k-1: true",
                "saved k-2: true",
                "saved k-1: false",
                "restored k-1: made under k-1",
                "restored k-2: made under k-2",
                "saved old-1: true",
                "restored old-1: made under old-1",
                "restored old-1: made under old-1",
                "restored nothing: nothing",
            ],
            "{log}"
        );
        // a branch restores what the default branch saved; what it saves itself stays its own
        house.clone.git(&["checkout", "-q", "-b", "side"]);
        let (_, log) = house.run(&caching(&["restore: k-1", "save: side-1", "save: k-1", "restore: side-1"]));
        for said in ["restored k-1: made under k-1", "saved side-1: true", "saved k-1: true", "restored side-1: made under side-1"] {
            assert!(log.contains(said), "{said}\n{log}");
        }
        house.clone.git(&["checkout", "-q", "main"]);
        let (_, log) = house.run(&caching(&["restore: side-1 side-"]));
        assert!(log.contains("restored nothing"), "{log}");
    }
}

#[test]
fn caches_stay_within_their_budget() {
    for database in databases() {
        let server = Server::start_with(database, &ServerOptions::default().set("cache_limit", "12000"));
        let house = House::new(server);
        // each takes about 5 kB, so two fit; the built-in cache counts as well
        house.run(&caching(&["save: a, size: 5000", "save: b, size: 5000", "restore: a", "save: c, size: 5000"]));
        let mut last = String::new();
        until("the least recently used to go", Duration::from_secs(60), || {
            let (_, log) = house.run(&caching(&["restore: c", "restore: b", "restore: a"]));
            last = log;
            (last.contains("restored a: made under a") && last.contains("restored c: made under c") && last.contains("restored nothing"))
                .then_some(())
        });
        assert!(!last.contains("restored b"), "{last}");
    }
}

const IDENTITIES: &str = "on: push
permissions: {contents: read}
jobs:
  none:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: test -z \"$ACTIONS_ID_TOKEN_REQUEST_URL\"
      - uses: ./actions/identity
  some:
    runs-on: ubuntu-latest
    permissions: {contents: read, id-token: write}
    steps:
      - uses: actions/checkout@v4
      - uses: ./actions/identity
        with: {audience: 'https://cloud.example'}
      - uses: ./actions/identity
      - run: |
          curl -sf -H \"Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN\" \"$ACTIONS_ID_TOKEN_REQUEST_URL&audience=x\" | cut -c 1-13
  live:
    runs-on: ubuntu-latest
    environment: ${{ github.ref_name == 'main' && 'live:eu' || 'test' }}
    permissions: {contents: read, id-token: write}
    steps: [{uses: actions/checkout@v4}, {uses: ./actions/identity}]
";

const GITLAB_IDENTITY: &str = "one:
  id_tokens:
    GIVEN_TOKEN: {aud: 'https://vault.example'}
    MANY: {aud: [a, \"$CI_PROJECT_PATH\"]}
  script:
    - INPUT_AUDIENCE=https://vault.example node actions/identity/index.js
    - GIVEN_TOKEN=$MANY INPUT_AUDIENCE=ann/web node actions/identity/index.js
    - echo \"shown as $GIVEN_TOKEN\"
";

#[test]
fn jobs_prove_what_they_are() {
    for database in databases() {
        let house = House::new(Server::start(database));
        let (run, _) = house.run(IDENTITIES);
        let jobs = run["jobs"].as_array().unwrap();
        let log = |name: &str| {
            let job = jobs.iter().find(|j| j["name"] == name).unwrap();
            house.ann.get(&format!("/jobs/{}/log", job["id"].as_str().unwrap())).text()
        };
        assert!(log("none").contains("identity: none"), "{}", log("none"));
        let some = log("some");
        for claim in [
            "sub=\"repo:ann/web:ref:refs/heads/main\"",
            "aud=\"https://cloud.example\"",
            "repository=\"ann/web\"",
            "event_name=\"push\"",
            "ref_protected=\"true\"",
            "actor=\"ann\"",
            "alg=\"ES256\"",
            "workflow_ref=\"ann/web/.github/workflows/ci.yml@refs/heads/main\"",
        ] {
            assert!(some.contains(&format!("claim {claim}")), "{claim}\n{some}");
        }
        assert!(some.contains(&format!("aud=\"{}/ann\"", house.server.url())), "{some}");
        assert_eq!(some.matches("identity: all good").count(), 2, "{some}");
        assert!(some.contains("{\"value\":\"eyJ"), "{some}");
        assert!(log("live").contains("claim sub=\"repo:ann/web:environment:live%3Aeu\""), "{}", log("live"));
        // who has no running job has no identity
        house.ann.get("/oidc/token?audience=x").problem(401, "unauthenticated");
        let keys = house.server.anonymous().get("/oidc/keys").expect(200);
        assert_eq!((keys.json["keys"].as_array().unwrap().len(), keys.json["keys"][0].get("d")), (1, None));

        house.clone.git(&["rm", "-q", "-r", ".github"]);
        house.clone.write(".gitlab-ci.yml", GITLAB_IDENTITY);
        let run = house.end_of(&house.clone.push("gitlab"));
        let said = house.log(&run);
        assert_eq!(run["conclusion"], "success", "{said}\n{}", run["diagnostics"]);
        assert!(said.contains("claim sub=\"project_path:ann/web:ref_type:branch:ref:main\""), "{said}");
        assert!(said.contains("claim aud=[\"a\",\"ann/web\"]") && said.contains("shown as ***"), "{said}");
        assert_eq!(said.matches("identity: all good").count(), 2, "{said}");
    }
}
