//! One project's life: created, cloned, changed, pushed, analysed, built, tested, packed, deployed, watched, broken,
//! rolled back.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Api, Database, databases, eventually, run, try_run, until};

use super::{LONG, Load, Person, text, without_docker};

const PROJECT: &str = "acme/hello";
const AT: &str = "/projects/acme%2Fhello";

#[test]
fn from_nothing_to_an_application_run_as_a_process() {
    life(Database::Sqlite, "process");
}

#[test]
fn from_nothing_to_an_application_run_by_docker() {
    if without_docker().is_none() {
        life(databases().pop().unwrap(), "docker");
    }
}

fn life(database: Database, target: &str) {
    let ann = Person::new(database, target);
    assert!(ann.cli.run(&["whoami"]).contains("ann"));
    ann.cli.run(&["group", "create", "acme"]);
    let made = ann.cli.json(&["project", "create", PROJECT, "--template", "go-http", "--param", "greeting=Hello"]);
    assert_eq!((&made["path"], &made["language"], &made["template"]), (&json!(PROJECT), &json!("Go"), &json!("go-http")));

    let first = first_release(&ann, target);
    let url = text(&first, "url").to_owned();
    let second = second_release(&ann, &url);
    broken_release(&ann, &url);

    // back to the first release in one call; nothing is built for it
    let begun = std::time::Instant::now();
    let back = ann.cli.json(&["rollback", "production", "--project", PROJECT, "--release", text(&first["current"], "id")]);
    assert_eq!((&back["kind"], &back["conclusion"], &back["release"]["number"]), (&json!("rollback"), &json!("success"), &json!(1)));
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_eq!(answer(&url), "Hello, world!");

    // what happened, newest first
    let history = ann.api.get(&format!("{AT}/deployments?environment=production")).expect(200).items();
    let told: Vec<_> = history.iter().map(|d| (text(d, "kind"), text(d, "conclusion"), d["release"]["number"].as_i64().unwrap())).collect();
    assert_eq!(told, [("rollback", "success", 1), ("deploy", "rolled_back", 3), ("deploy", "success", 2), ("deploy", "success", 1)]);
    assert_eq!(text(&history[2]["release"], "commit"), second);
    assert_eq!(history[0]["actor"]["name"], "ann");
    let releases = ann.api.get(&format!("{AT}/releases")).expect(200).items();
    assert_eq!(releases.iter().map(|r| r["number"].as_i64().unwrap()).collect::<Vec<_>>(), [3, 2, 1]);
    // and without a name it is the one before
    ann.cli.run(&["deploy", "production", "--project", PROJECT, "--image", &second]);
    assert_eq!(answer(&url), "Good day, world!");
    ann.cli.run(&["rollback", "production", "--project", PROJECT]);
    assert_ne!(answer(&url), "Good day, world!");

    // nothing that followed from the pushes is left undone
    eventually("everything that followed is done", || {
        let activity = ann.api.get(&format!("{AT}/activity?limit=100")).expect(200).items();
        let work = activity.iter().flat_map(|a| a["work"].as_array().cloned().unwrap_or_default());
        work.map(|w| assert_ne!(w["state"], "dead", "{w}")).count() > 0
            && activity.iter().flat_map(|a| a["work"].as_array().cloned().unwrap_or_default()).all(|w| w["state"] == "done")
    });
}

fn answer(url: &str) -> String {
    Api::new(url).get("/").expect(200).str("message")
}

fn environment(ann: &Person) -> Value {
    let listed = ann.cli.json(&["environment", "list", "--project", PROJECT]);
    listed[0].clone()
}

/// The template's own commit: watched live, its results, its image, its deployment. The environment.
fn first_release(ann: &Person, target: &str) -> Value {
    let commit = ann.api.get(&format!("{AT}/refs")).expect(200).json["branches"][0]["commit"].as_str().unwrap().to_owned();
    let run_id = text(&ann.run_of(PROJECT, &commit), "id").to_owned();
    let jobs = ann.api.get(&format!("/runs/{run_id}")).expect(200).json["jobs"].clone();
    assert_eq!(jobs.as_array().unwrap().iter().map(|j| text(j, "name")).collect::<Vec<_>>(), ["test", "deliver"]);

    // watched from all sides while it runs
    let stream = {
        let (api, path) = (ann.api.clone(), format!("/jobs/{}/log/stream", text(&jobs[0], "id")));
        std::thread::spawn(move || api.events(&path, |event, _| event == "end"))
    };
    let followed = {
        let (cli, run) = (ann.cli.clone(), run_id.clone());
        std::thread::spawn(move || cli.run(&["run", "log", &run, "--project", PROJECT, "--job", "test", "--follow"]))
    };
    let watched = {
        let (cli, run) = (ann.cli.clone(), run_id.clone());
        std::thread::spawn(move || cli.try_run(&["run", "watch", &run, "--project", PROJECT]))
    };
    until("the first step's words", Duration::from_secs(60), || {
        let log = ann.api.get(&format!("/jobs/{}/log", text(&jobs[0], "id"))).text();
        log.contains("actions/checkout").then_some(())
    });
    let run = ann.ended(&run_id);
    ann.green(&run);
    let log = ann.api.get(&format!("/jobs/{}/log", text(&jobs[0], "id"))).expect(200);
    assert_eq!(log.header("x-log-complete"), "true");
    let streamed: String = stream
        .join()
        .unwrap()
        .iter()
        .filter(|(event, _)| event == "log")
        .map(|(_, data)| serde_json::from_str::<Value>(data).unwrap()["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(streamed, log.text());
    assert!(log.text().contains("go vet ./..."), "{}", log.text());
    assert_eq!(followed.join().unwrap().trim_end(), log.text().trim_end());
    let watched = watched.join().unwrap();
    assert!(watched.status.success() && String::from_utf8_lossy(&watched.stderr).contains("Vet"), "{watched:?}");

    tests_and_coverage(ann, &run_id);
    artifact(ann, &run_id);
    assert_eq!(statuses(ann, &commit), ["success"]);

    let environment = environment(ann);
    assert_eq!((&environment["target"], &environment["state"]), (&json!(target), &json!("healthy")));
    assert_eq!(environment["current"]["commit"], commit.as_str());
    let url = text(&environment, "url");
    assert_eq!(answer(url), "Hello, world!");
    assert_eq!(Api::new(url).get("/?name=Ada").expect(200).str("message"), "Hello, Ada!");
    image(ann, &commit, text(&environment["current"], "digest"));
    if target == "docker" {
        let filter = format!("label=devmentor.environment={}", text(&environment, "id"));
        let shown = self::run(&ann.home, "docker", &["ps", "--filter", &filter, "--format", "{{.Ports}}"]);
        assert!(shown.contains("->8080/tcp"), "{shown}");
    }
    eventually("it is watched", || {
        let watch = ann.api.get(&format!("/environments/{}/watch", text(&environment, "id"))).expect(200).json;
        watch["state"] == "healthy"
            && watch["memory_bytes"].as_u64() > Some(0)
            && watch["requests"]["total"].as_u64() >= Some(2)
            && watch["probes"].as_array().is_some_and(|p| p.iter().any(|p| p["ok"] == true))
    });
    let log = ann.api.get(&format!("/environments/{}/log?tail=20", text(&environment, "id"))).expect(200).text();
    assert!(log.contains("listening on"), "{log}");
    environment
}

fn statuses(ann: &Person, commit: &str) -> Vec<String> {
    let items = ann.api.get(&format!("{AT}/commits/{commit}/statuses")).expect(200).items();
    items.iter().map(|s| text(s, "state").to_owned()).collect()
}

fn tests_and_coverage(ann: &Person, run: &str) {
    let tests = ann.api.get(&format!("/runs/{run}/tests")).expect(200);
    let totals = &tests.json["totals"];
    assert!(totals["tests"].as_u64() > Some(10) && totals["passed"] == totals["tests"], "{totals}");
    let case = tests.items().into_iter().find(|c| c["name"] == "TestRoutes/health").expect("a test case");
    assert_eq!((&case["status"], text(&case, "class").ends_with("internal/greet")), (&json!("passed"), true));
    assert!(ann.cli.run(&["run", "tests", run, "--project", PROJECT]).contains(" 0 failed"));
    let coverage = ann.api.get(&format!("/runs/{run}/coverage")).expect(200).json;
    assert!(coverage["lines_covered"].as_u64() > Some(0) && coverage["line_rate"].as_f64() > Some(0.3), "{coverage}");
    assert!(coverage["files"].as_array().unwrap().iter().any(|f| f["path"] == "internal/greet/greet.go"), "{coverage}");
}

/// Downloaded with the command line, whole and as announced.
fn artifact(ann: &Person, run_id: &str) {
    let items = ann.api.get(&format!("/runs/{run_id}/artifacts")).expect(200).items();
    assert_eq!(items.iter().map(|a| text(a, "name")).collect::<Vec<_>>(), ["server"]);
    let file = ann.home.join("server.zip");
    let path = file.display().to_string();
    ann.cli.run(&["artifact", "download", "server", "--run", run_id, "--project", PROJECT, "--output", &path]);
    let sum = run(&ann.home, "sha256sum", &[&path]);
    assert_eq!(format!("sha256:{}", sum.split(' ').next().unwrap()), text(&items[0], "digest"));
    assert_eq!(std::fs::metadata(&file).unwrap().len(), items[0]["size"].as_u64().unwrap());
    assert!(run(&ann.home, "python3", &["-m", "zipfile", "-l", &path]).contains("server"));
}

/// The image is in the registry: for skopeo, and for docker where there is one.
fn image(ann: &Person, commit: &str, digest: &str) {
    let listed = ann.cli.json(&["image", "list", "--project", PROJECT]);
    assert!(listed[0]["tags"].as_array().unwrap().contains(&json!(commit)), "{listed}");
    let host = ann.server.url().trim_start_matches("http://");
    let (name, credentials) = (format!("docker://{host}/{PROJECT}"), format!("ann:{}", ann.token));
    let tags: Value =
        serde_json::from_str(&run(&ann.home, "skopeo", &["list-tags", "--tls-verify=false", "--creds", &credentials, &name])).unwrap();
    let tags: Vec<&str> = tags["Tags"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    assert!(tags.contains(&"latest") && tags.contains(&commit), "{tags:?}");
    let inspected = format!("{name}:{commit}");
    let seen = run(&ann.home, "skopeo", &["inspect", "--tls-verify=false", "--creds", &credentials, "--format", "{{.Digest}}", &inspected]);
    assert_eq!(seen.trim(), digest);
    if without_docker().is_some() {
        return;
    }
    let config = ann.home.join("docker").display().to_string();
    let docker = |arguments: &[&str]| run(&ann.home, "docker", &[&["--config", &config], arguments].concat());
    docker(&["login", host, "--username", "ann", "--password", &ann.token]);
    let reference = format!("{host}/{PROJECT}@{digest}");
    docker(&["pull", "--quiet", &reference]);
    let entry = docker(&["image", "inspect", "--format", "{{json .Config.Entrypoint}}", &reference]);
    assert_eq!(entry.trim(), r#"["/server"]"#);
    // nobody gets it without a name
    let nobody = try_run(&ann.home, "skopeo", &["inspect", "--tls-verify=false", "--no-creds", &inspected], &[]);
    assert!(!nobody.status.success());
}

/// A change is pushed while the application is asked without a pause. The commit.
fn second_release(ann: &Person, url: &str) -> String {
    let clone = ann.clone_of(PROJECT);
    let source = clone.directory.join("internal/greet/greet.go");
    let changed = std::fs::read_to_string(&source).unwrap().replace("\"Hello\"", "\"Good day\"");
    clone.write("internal/greet/greet.go", &changed);
    let load = Load::on(url);
    let commit = clone.push("Say good day");

    let run = ann.run_of(PROJECT, &commit);
    assert_eq!((&run["event"], &run["title"], &run["actor"]["name"]), (&json!("push"), &json!("Say good day"), &json!("ann")));
    // analysed, in the inventory, found
    eventually("the analysis", || ann.api.get(&format!("{AT}/quality")).json["commit"] == commit.as_str());
    let files = ann.api.get(&format!("{AT}/inventory?path_prefix=internal/greet/greet.go")).expect(200).items();
    assert_eq!(files[0]["last_commit"], commit.as_str());
    eventually("the search", || {
        let found = ann.api.get(&format!("{AT}/search?q=Good%20day")).expect(200).items();
        found.iter().any(|f| f["path"] == "internal/greet/greet.go")
    });
    assert_eq!(ann.api.get("/search?q=Good%20day").expect(200).items()[0]["project"]["path"], PROJECT);
    assert!(["pending", "success"].contains(&statuses(ann, &commit)[0].as_str()));

    let watched = ann.cli.json(&["run", "watch", text(&run, "id"), "--project", PROJECT]);
    assert_eq!(watched["conclusion"], "success", "{}", ann.logs(&watched));
    assert_eq!(statuses(ann, &commit), ["success"]);
    until("the next release answers", LONG, || (answer(url) == "Good day, world!").then_some(()));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(load.end(), [r#"{"message":"Good day, world!"}"#, r#"{"message":"Hello, world!"}"#]);
    let shown = environment(ann);
    assert_eq!((&shown["current"]["number"], &shown["url"]), (&json!(2), &json!(url)));
    commit
}

/// A version that is tested well and dies at its start: the one before goes on answering.
fn broken_release(ann: &Person, url: &str) {
    let clone = testkit::Clone { directory: ann.server.scratch("clones").join("acme-hello") };
    let main = std::fs::read_to_string(clone.directory.join("main.go")).unwrap();
    clone.write("main.go", &main.replace("func main() {", "func main() {\n\tlog.Fatal(\"broken on purpose\")"));
    let load = Load::on(url);
    let commit = clone.push("Break it");
    let run = ann.ended(text(&ann.run_of(PROJECT, &commit), "id"));
    assert_eq!(run["conclusion"], "failure", "{}", ann.logs(&run));
    let deliver = run["jobs"].as_array().unwrap().iter().find(|j| j["name"] == "deliver").unwrap();
    let failed = deliver["steps"].as_array().unwrap().iter().find(|s| s["conclusion"] == "failure").unwrap();
    assert_eq!(failed["name"], "Deploy");
    assert_eq!(statuses(ann, &commit), ["failure"]);
    let refused = ann.cli.try_run(&["run", "watch", text(&run, "id"), "--project", PROJECT]);
    assert_eq!(refused.status.code(), Some(1));

    let deployment = ann.api.get(&format!("{AT}/deployments")).expect(200).items()[0].clone();
    assert_eq!((&deployment["conclusion"], &deployment["run_id"]), (&json!("rolled_back"), &run["id"]));
    let reason = text(&deployment, "reason");
    assert!(reason.contains("broken on purpose") && reason.contains("release 2 goes on running"), "{reason}");
    assert!(ann.logs(&run).contains("broken on purpose"), "the job's log tells why");
    assert_eq!(load.end(), [r#"{"message":"Good day, world!"}"#]);
    assert_eq!(environment(ann)["current"]["number"], 2);
}
